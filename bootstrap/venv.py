"""Make .venv from a lock file, complete it or repair it; do nothing when it is up to date.

    python3 -I bootstrap/venv.py runtime|dev [--chosen]

Any `python3` from 3.6 on can read this file: it starts bootstrap/set_up.py under a Python that the locks are for, or
says that there is none. A Python that was `--chosen` by the user is taken or refused, never replaced by another.
"""

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
CHOSEN = "--chosen"


def use_other_python() -> None:
    """Start this script again under the first fitting Python on PATH."""
    import shutil  # noqa: PLC0415 - only where `python3` does not fit
    import subprocess  # noqa: PLC0415 - the same

    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        # A version manager puts names on PATH that only print an error.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, "-I", os.path.abspath(__file__)] + sys.argv[1:])  # noqa: PTH100, RUF005 - 3.6
    refuse_python()


def refuse_python(more: str = "") -> None:
    """Say that this Python does not fit, and end."""
    sys.stderr.write(
        "set-up: Python {}.{} at {} does not fit: tracekit is set up with Python 3.11 to 3.14{}\n"
        "  apt install python3 (Debian 12 or newer), or: make BOOTSTRAP_PYTHON=/path/to/python3.13 ...\n".format(
            *sys.version_info[:2], sys.executable, more
        )
    )
    sys.exit(4)


def find_missing_wheels(lock: str, most_s: int = 60) -> list:  # type: ignore[type-arg]
    """The packages of the lock that have no wheel for this Python, as far as its pip finds out in that time."""
    import re  # noqa: PLC0415 - only where `python3` does not fit
    import subprocess  # noqa: PLC0415 - the same
    import tempfile  # noqa: PLC0415 - the same
    import time  # noqa: PLC0415 - the same

    with open(lock) as file:  # noqa: PTH123 - 3.6
        wanted = [line.rstrip("\\\n ") for line in file if re.match(r"[A-Za-z0-9].*==", line)]
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--disable-pip-version-check"]
    missing = []  # type: list[str]
    until = time.time() + most_s
    while time.time() < until:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(wanted))
            file.flush()
            command = [sys.executable, "-m", "pip", "install"] + options + ["-r", file.name]  # noqa: RUF005 - 3.6
            try:
                # Nothing has to be downloaded to know that a wheel is there.
                done = subprocess.run(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=max(1, until - time.time()),
                )
            except subprocess.TimeoutExpired:
                break
        found = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", done.stdout)
        if found is None:
            break
        missing.append(found.group(1))
        wanted = [line for line in wanted if not line.startswith(found.group(1) + "==")]
    return missing


def check_python(arguments: list) -> None:  # type: ignore[type-arg]
    """Go on under a Python that fits: this one, or another if the user did not choose this one."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    if CHOSEN not in arguments:
        use_other_python()
    if sys.version_info[:2] < OLDEST:
        refuse_python()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - 3.6
    missing = find_missing_wheels(os.path.join(root, LOCKS.get(arguments[0], LOCKS["dev"])))  # noqa: PTH118 - 3.6
    refuse_python("; of {} it finds no wheel for this one".format(", ".join(missing)) if missing else "")


if __name__ == "__main__":
    check_python(sys.argv[1:])
    # -I leaves out even the folder of this script.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - 3.6
    from bootstrap.set_up import main

    sys.exit(main([word for word in sys.argv[1:] if word != CHOSEN]))
