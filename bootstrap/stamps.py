"""Whether a .venv is as it should be, by what its stamps say of how it was made. Asked at every `make`: kept quick."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
# What else satisfies a kind: the dev lock holds everything of the runtime lock, at the same versions.
SATISFIED_BY = {"runtime": ("runtime", "dev"), "dev": ("dev",)}
MADE = ".tracekit-made"

# Prints what a stamp needs to know of an interpreter; -I -S: without its site-packages, which may be broken.
ASK = "import os, sys; print(sys.implementation.cache_tag + getattr(sys, 'abiflags', ''), os.uname().machine)"


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def ask_python(python: Path) -> str:
    """What `python` is, or "" if it does not run."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-S", "-c", ASK],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def made_by(venv: Path, answer: str) -> str:
    """What `.tracekit-made` holds: the Python and the place, as scripts in bin/ name the place."""
    return f"{answer}\n{venv}\n"


def is_usable(venv: Path) -> bool:
    """Whether `venv` was made here, completely, by a Python that still runs and is still the same."""
    answer = ask_python(python_of(venv))
    try:
        return bool(answer) and (venv / MADE).read_text() == made_by(venv, answer)
    except OSError:
        return False


def stamp_text(root: Path, venv: Path, kind: str) -> str:
    digest = hashlib.sha256()
    # The probe is compiled when tracekit is installed.
    probe = sorted((root / "tracekit" / "measure" / "probe").glob("*.[ch]"))
    for part in (root / LOCKS[kind], root / "pyproject.toml", venv / MADE, *probe):
        content = part.read_bytes()
        digest.update(b"%d\n" % len(content) + content)
    return f"{digest.hexdigest()}\n"


def stamp_of(venv: Path, kind: str) -> Path:
    return venv / f".tracekit-{kind}"


def is_current(root: Path, venv: Path, kind: str) -> bool:
    for satisfying in SATISFIED_BY[kind]:
        try:
            stamped = stamp_of(venv, satisfying).read_text() == stamp_text(root, venv, satisfying)
        except OSError:
            continue
        if stamped:
            return is_usable(venv)
    return False
