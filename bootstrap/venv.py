"""Make .venv from a lock file, complete it or repair it; do nothing when it is up to date.

    python3 -I bootstrap/venv.py runtime|dev [--check]

Any `python3` from 3.6 on can read this file: it starts bootstrap/set_up.py under a Python that the locks are for, or
says that there is none.
"""

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 14)


def use_other_python() -> None:
    """Start this script again under the first fitting Python on PATH."""
    import shutil  # noqa: PLC0415 - only where `python3` does not fit
    import subprocess  # noqa: PLC0415 - the same

    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        # A version manager puts names on PATH that only print an error.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, "-I", os.path.abspath(__file__)] + sys.argv[1:])  # noqa: PTH100, RUF005 - 3.6
    sys.stderr.write(
        "set-up: Python {}.{} at {} does not fit: tracekit is set up with Python 3.11 to 3.14\n"
        "  apt install python3 (Debian 12 or newer), or: make BOOTSTRAP_PYTHON=/path/to/python3.13 ...\n".format(
            *sys.version_info[:2], sys.executable
        )
    )
    sys.exit(4)


if __name__ == "__main__":
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        use_other_python()
    # -I leaves out even the folder of this script.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - 3.6
    from bootstrap.set_up import main

    sys.exit(main(sys.argv[1:]))
