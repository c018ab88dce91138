"""Makes .venv from a hash-locked file, adds to it or repairs it; does nothing when it is as it should be.

    python3 -I bootstrap/venv.py runtime|dev [--check]

Standard library only, no root. A stamp `.venv/.tracekit-<runtime|dev>` is written last; what it holds (lock,
pyproject.toml, Python, place) says what the folder was made from, so an interrupted, moved or outdated .venv
is seen without looking at its packages. Progress goes to stderr, pip's own words to .venv/set-up.log.

Written so that any `python3` from 3.6 on can read it, and look for another one or say that it is too old.
"""

import os
import sys

# What the locks hold for: each package has a wheel for these.
OLDEST, NEWEST = (3, 11), (3, 14)
OTHER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def fail(what: str, remedy: str) -> None:
    """Ends the set-up with two lines: what, then the command that fixes it."""
    sys.stderr.write(f"set-up: {what}\n  {remedy}\n")
    sys.exit(4)


def use_other_python() -> None:
    """Starts this script again under the first fitting Python on PATH that really runs."""
    import shutil  # noqa: PLC0415 - only where `python3` does not fit
    import subprocess  # noqa: PLC0415 - the same

    for name in OTHER_NAMES:
        path = shutil.which(name)
        # A version manager puts names on PATH that only print an error.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            # In words that any Python knows.
            os.execv(path, [path, "-I", os.path.abspath(__file__)] + sys.argv[1:])  # noqa: PTH100, RUF005
    version = "{}.{}".format(*sys.version_info[:2])
    fail(
        f"Python {version} at {sys.executable} does not fit: tracekit is set up with Python 3.11 to 3.14",
        "apt install python3 (Debian 12 or newer), or: make BOOTSTRAP_PYTHON=/path/to/python3.13 ...",
    )


if __name__ == "__main__" and not OLDEST <= sys.version_info[:2] <= NEWEST:
    use_other_python()

import fcntl  # noqa: E402 - only now is it known that this Python has it
from pathlib import Path  # noqa: E402 - as above

ROOT = Path(__file__).resolve().parent.parent
# -I leaves out even the folder of this script.
sys.path.insert(0, str(ROOT))

from bootstrap.saying import SetUpError, say  # noqa: E402 - as above
from bootstrap.stamps import LOCKS, is_current  # noqa: E402 - as above


def set_up(root: Path, kind: str) -> None:
    """Makes `root`/.venv what `kind` asks for, one process at a time."""
    venv = root / ".venv"
    if is_current(root, venv, kind):
        return
    # Beside .venv, not in it, as .venv itself may be removed and made anew.
    with (root / ".venv.lock").open("a") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another set-up of this folder to finish")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_current(root, venv, kind):
            from bootstrap import filling  # noqa: PLC0415 - a set-up that has nothing to do stays quick

            filling.bring_up(root, venv, kind, turn.fileno())


def main(arguments: "list[str]") -> int:
    kinds = [word for word in arguments if word in LOCKS]
    if len(kinds) != 1 or set(arguments) - {*LOCKS, "--check"}:
        sys.stderr.write("usage: venv.py runtime|dev [--check]\n")
        return 2
    if "--check" in arguments:
        return 0 if is_current(ROOT, ROOT / ".venv", kinds[0]) else 1
    try:
        set_up(ROOT, kinds[0])
    except SetUpError as failure:
        fail(failure.what, failure.remedy)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130
    except OSError as error:
        fail(str(error), "make room or allow writing there, then run the same command again")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
