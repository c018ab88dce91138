"""Builds the wheels for the index into dist/ and checks them; with --check only the libraries that are in them.

There are two: one for Linux with the compiled probes, which runs with glibc 2.17 and newer, and one for any platform,
whose probes are compiled on first use. The tools are installed into .venv-wheel from requirements-wheel.lock.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hatch_build import MANYLINUX_GLIBC, read_needed_glibc
from tracekit.measure.probe import compile as probe

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv-wheel"
PYTHON = TOOLS / "bin" / "python"
LOCK = ROOT / "requirements-wheel.lock"
STAMP = TOOLS / "lock.sha256"
DIST = ROOT / "dist"


class WheelFailed(Exception):
    """A step that did not succeed; the text says which, and what it printed."""


def run_step(what: str, *command: str | Path, **variables: str) -> str:
    """Run a command in the project's folder; returns what it printed. Raises WheelFailed."""
    words = [str(word) for word in command]
    environment = {**os.environ, **variables}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WheelFailed(f"{what} failed:\n{(done.stdout + done.stderr).strip()}")
    return done.stdout + done.stderr


def install_tools() -> None:
    """Install what the lock names, unless that is done. Raises WheelFailed."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    sys.stderr.write("wheel: installing its tools into .venv-wheel, some 500 MB, once\n")
    venv.create(TOOLS, with_pip=True, clear=True)
    words = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", LOCK)
    run_step("installing the tools, which takes the index the first time,", PYTHON, *words)
    STAMP.write_text(wanted)


def compiler_command() -> str:
    """The C compiler for the oldest glibc that the wheel is for, as $CC has it."""
    version = ".".join(str(part) for part in MANYLINUX_GLIBC)
    return f"'{PYTHON}' -m ziglang cc -target {platform.machine()}-linux-gnu.{version}"


def check_libraries() -> None:
    """Compile the probes as for the wheel. Raises WheelFailed if one needs a newer glibc than the wheel may."""
    os.environ["CC"] = compiler_command()
    with tempfile.TemporaryDirectory() as folder:
        for each in probe.PROBES:
            library = Path(folder) / each.installed.name
            try:
                probe.compile_probe(library, wanted=each)
            except probe.CannotCompile as error:
                raise WheelFailed(str(error)) from error
            needed = read_needed_glibc(library)
            if needed > MANYLINUX_GLIBC:
                raise WheelFailed(f"the {each.title} needs glibc {'.'.join(map(str, needed))}")


def build_wheels() -> None:
    """Build and check both. Raises WheelFailed."""
    for old in DIST.glob("*.whl"):
        old.unlink()
    build = (PYTHON, "-m", "hatchling", "build", "-t", "wheel", "-d", DIST)
    run_step("building the wheel for Linux", *build, CC=compiler_command())
    run_step("building the wheel for any platform", *build, TRACEKIT_WHEEL="pure")
    [linux] = DIST.glob("*-manylinux_2_17_*.whl")
    [pure] = DIST.glob("*-none-any.whl")
    shown = run_step("auditwheel", PYTHON, "-m", "auditwheel", "show", linux)
    if f'"manylinux_2_17_{platform.machine()}"' not in " ".join(shown.split()):
        raise WheelFailed(f"auditwheel does not take it for manylinux_2_17:\n{shown}")
    run_step("twine check", PYTHON, "-m", "twine", "check", "--strict", linux, pure)
    for wheel in (linux, pure):
        sys.stdout.write(f"{wheel.relative_to(ROOT)}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the wheels into dist/ and checks them.")
    parser.add_argument("--check", action="store_true", help="only compile the libraries and check what they need")
    chosen = parser.parse_args()
    try:
        install_tools()
        check_libraries() if chosen.check else build_wheels()
    except WheelFailed as error:
        sys.stderr.write(f"wheel: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
