"""Build CPythons to measure, once, into the user's cache, where the tests, `tracekit list pythons` and `make accuracy`
find them.

    .venv/bin/python bootstrap/pythons.py SOURCE VERSION...

SOURCE is a git directory of CPython, bare or not, with a branch per version, or its unpacked source. A version is 3.15,
or 3.15t for the build without a GIL. What is built already, from the same commit, is left alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracekit.system.interpreters import pythons_folder

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (":(exclude)Doc", ":(exclude)Misc/svnmap.txt")
OPTIONS = ("--disable-test-modules",)


class CannotBuild(Exception):
    """A Python cannot be built, and why."""


def describe_source(source: Path, version: str) -> str:
    """What the source is of that version: a commit, or the version that an unpacked one has. Raises CannotBuild."""
    patchlevel = source / "Include" / "patchlevel.h"
    if patchlevel.is_file() and not (source / ".git").exists():
        found = re.search(r'#define PY_VERSION\s+"([^"]+)"', patchlevel.read_text(encoding="utf-8"))
        if found is None or not found[1].startswith(f"{version}."):
            raise CannotBuild(f"{source} is the source of {found[1] if found else 'no version'}, not of {version}")
        return f"{found[1]} in {source}"
    words = ["git", "-C", str(source), "rev-parse", "--verify", "--quiet"]
    for name in (f"refs/heads/{version}", f"refs/remotes/origin/{version}"):
        done = subprocess.run([*words, f"{name}^{{commit}}"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    raise CannotBuild(f"{source} has no branch {version}, and is no unpacked source of it")


def unpack(source: Path, commit: str, folder: Path) -> Path:
    """The folder with `configure`: the source itself, or the commit's files, unpacked. Raises CannotBuild."""
    if " in " in commit:
        return source
    words = ["git", "-C", str(source), "archive", "--format=tar", commit, "--", ".", *LEFT_OUT]
    # Of a clone without all objects git complains about those that are left out anyway, and writes the rest.
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=False)
        said = archive.stderr.read().decode("utf-8", "replace") if archive.stderr else ""
    if not (folder / "configure").is_file():
        raise CannotBuild(f"{source} does not give the files of {commit[:12]}: {said.strip()[:200]}")
    return folder


def build(source: Path, version: str) -> str:
    """Build one Python, if it is not there yet; returns what there is to say of it. Raises CannotBuild."""
    plain = version.removesuffix("t")
    commit = describe_source(source, plain)
    home = pythons_folder() / version
    mark = home / "source"
    if mark.is_file() and mark.read_text(encoding="utf-8") == commit:
        return f"{version}: is there, {home}"
    begun = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    log = home.parent / f"{version}.log"
    # What make passes on to the recipes of this project is not meant for CPython's.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    with tempfile.TemporaryDirectory(prefix="tracekit-python-") as scratch, log.open("wb") as output:
        sources, objects = Path(scratch) / "source", Path(scratch) / "objects"
        for folder in (sources, objects):
            folder.mkdir()
        configure = unpack(source, commit, sources) / "configure"
        options = [*OPTIONS, *(["--disable-gil"] if version != plain else [])]
        for words in (
            [str(configure), f"--prefix={home}", *options],
            ["make", f"-j{os.cpu_count() or 1}"],
            ["make", "install"],
        ):
            done = subprocess.run(words, cwd=objects, env=environment, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                raise CannotBuild(f"{' '.join(words[:2])} ended with exit code {done.returncode}: see {log}")
    mark.write_text(commit, encoding="utf-8")
    log.unlink()
    return f"{version}: built in {time.monotonic() - begun:.0f} s, {home}"


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not all(re.fullmatch(r"3\.\d+t?", version) for version in arguments[1:]):
        sys.stderr.write("usage: make pythons SOURCE=<git directory of CPython, or its source> VERSIONS=3.15,3.15t\n")
        return 2
    os.nice(10)
    code = 0
    for version in arguments[1:]:
        try:
            sys.stderr.write(f"pythons: {build(Path(arguments[0]).resolve(), version)}\n")
        except (CannotBuild, OSError) as error:
            sys.stderr.write(f"pythons: {version} cannot be built: {error}\n")
            code = 4
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
