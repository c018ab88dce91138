"""Writes the locks (requirements*.lock) from pyproject.toml; --upgrade takes newer versions.

The locks hold for CPython 3.11 and newer on every platform and are made from the public index alone: the
machine's own index settings are left out, so that no name of a host or a folder gets into a committed file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

UV = "uv==0.13.9"
ROOT = Path(__file__).resolve().parent.parent
COMMON = (
    "--universal",
    "--generate-hashes",
    "--python-version=3.11",
    # One version for all Pythons: the same numbers and the same type stubs everywhere.
    "--fork-strategy=fewest",
    "--no-config",
    "--custom-compile-command=make lock",
    "--quiet",
)
# The dev lock is held to the runtime lock: a set-up goes from one to the other by adding packages only.
LOCKS = {
    "requirements.lock": ("pyproject.toml", "--extra=build"),
    "requirements-dev.lock": ("pyproject.toml", "--extra=build", "--extra=dev", "--constraint=requirements.lock"),
    # What builds and checks the wheels, without tracekit and its dependencies.
    "requirements-wheel.lock": ("--group=wheel",),
}


def plain_environment() -> dict[str, str]:
    """The environment without this machine's package settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "VIRTUAL_ENV"))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions instead of the locked ones")
    upgrade = ("--upgrade",) if parser.parse_args().upgrade else ()
    with tempfile.TemporaryDirectory(prefix="tracekit-lock-") as scratch:
        venv.create(scratch, with_pip=True)
        tools = Path(scratch) / "bin"
        subprocess.run([str(tools / "python"), "-m", "pip", "install", "--quiet", UV], check=True)
        for name, options in LOCKS.items():
            sys.stderr.write(f"lock: {name}\n")
            command = [str(tools / "uv"), "pip", "compile", "--output-file", name]
            subprocess.run([*command, *COMMON, *options, *upgrade], cwd=ROOT, env=plain_environment(), check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
