"""Write the locks (requirements*.lock) from pyproject.toml; --upgrade takes the newest versions.

The locks are for CPython 3.11 and newer on every platform, and are made from the public index without this machine's
own settings, so that no name of a host or a folder gets into a committed file.
"""

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
# The dev lock keeps the versions of the runtime lock: a set-up goes from one to the other by adding packages only.
LOCKS = {
    "requirements.lock": ("pyproject.toml", "--extra=build"),
    "requirements-dev.lock": ("pyproject.toml", "--extra=build", "--extra=dev", "--constraint=requirements.lock"),
    # What builds and checks the wheels, without tracekit and its dependencies.
    "requirements-wheel.lock": ("--group=wheel",),
}


def main(arguments: list[str]) -> int:
    if set(arguments) - {"--upgrade"}:
        sys.stderr.write("usage: lock.py [--upgrade]\n")
        return 2
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "VIRTUAL_ENV"))
    }
    with tempfile.TemporaryDirectory(prefix="tracekit-lock-") as scratch:
        venv.create(scratch, with_pip=True)
        subprocess.run([f"{scratch}/bin/python", "-m", "pip", "install", "--quiet", UV], check=True)
        for name, options in LOCKS.items():
            sys.stderr.write(f"lock: {name}\n")
            command = [f"{scratch}/bin/uv", "pip", "compile", "--output-file", name]
            subprocess.run([*command, *COMMON, *options, *arguments], cwd=ROOT, env=environment, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
