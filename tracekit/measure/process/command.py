"""What a command names: the file that runs, the Python behind it, and a short name for what it runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracekit.core.errors import EnvironmentLacks, ProgramNotExecutable, ProgramNotFound, UsageError
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter

_PYTHON = re.compile(r"python(\d+(\.\d+)?t?)?(\.exe)?")
_FIRST_BYTES = 512
_TAKES_VALUE = "WX"
"""Options of Python whose value may be the next word. -c and -m end the options and name the program."""

_LONG_SHEBANG = re.compile(rb"#!/bin/sh\n'''exec' (?:\"([^\"\n]+)\"|(\S+)) ")
"""How pip begins a script whose interpreter has a blank in its path, or a path too long for a #! line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCommand:
    """One command, as it would be run."""

    argv: tuple[str, ...]
    executable: str
    interpreter: Interpreter | None
    """The CPython 3.9 or newer that it starts for certain; None when that is not known: make, a shell script."""
    name: str
    """What it runs: `app.py`, `package.module`, `pytest`, `make`."""


def describe_command(argv: Sequence[str], env: Mapping[str, str], folder: Path) -> ProgramCommand:
    """Find out what a command starts when it is run in `folder` with `env`.

    Raises ProgramNotFound, ProgramNotExecutable.
    """
    executable = _find_executable(argv[0], env, folder)
    python = _find_python(executable, env)
    interpreter = None
    if python is not None:
        try:
            interpreter = interpreters.inspect(python)
        except (UsageError, EnvironmentLacks):
            # PyPy, Python 2: it runs as it is, and a capture that cannot watch it says so itself.
            interpreter = None
    is_python = _PYTHON.fullmatch(Path(executable).name) is not None
    name = _parse_script(argv[1:]) if is_python else ""
    return ProgramCommand(
        argv=tuple(argv),
        executable=executable,
        interpreter=interpreter,
        name=name or Path(argv[0]).name,
    )


def _find_executable(word: str, env: Mapping[str, str], folder: Path) -> str:
    if os.sep in word:
        path = folder / word
        try:
            path.stat()
        except PermissionError:
            raise ProgramNotExecutable(f"{word} is in a folder that you may not read", f"namei -l {path}") from None
        except OSError:
            raise ProgramNotFound(f"there is no program {word!r}", f"ls {path.parent}") from None
        if path.is_dir() or not os.access(path, os.X_OK):
            what = "is a folder" if path.is_dir() else "is not executable"
            raise ProgramNotExecutable(f"{word} {what}", f"tracekit record -- python {word}")
        return str(path)
    found = shutil.which(word, path=env.get("PATH", os.defpath))
    if found is None:
        hint = f"tracekit record -- python {word}" if (folder / word).is_file() else "echo $PATH"
        raise ProgramNotFound(f"there is no program {word!r} on PATH", hint)
    return found


def _find_python(executable: str, env: Mapping[str, str]) -> str | None:
    """The Python that runs when `executable` does: itself, or the one its #! line names."""
    if _PYTHON.fullmatch(Path(executable).name):
        return executable
    try:
        with Path(executable).open("rb") as file:
            first = file.read(_FIRST_BYTES)
    except OSError:
        return None
    if long := _LONG_SHEBANG.match(first):
        return os.fsdecode(long.group(1) or long.group(2))
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:].split(b"\n", 1)[0]).split()
    if words and Path(words[0]).name == "env":
        rest = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        words = [shutil.which(rest[0], path=env.get("PATH", os.defpath)) or ""] if rest else []
    if words and _PYTHON.fullmatch(Path(words[0]).name):
        return words[0]
    return None


def _parse_script(arguments: Sequence[str]) -> str:
    """What a Python runs, from its arguments; empty for an interactive one or a program on stdin."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "-":
            return ""
        if not word.startswith("-"):
            return Path(word).name
        if word == "--check-hash-based-pycs" and rest:
            rest.pop(0)
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], start=1):
            value = word[position + 1 :]
            if letter == "c":
                return "python-c"
            if letter == "m":
                return value or (rest[0] if rest else "")
            if letter in _TAKES_VALUE:
                if not value and rest:
                    rest.pop(0)
                break
    return ""
