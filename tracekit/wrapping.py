"""A command under a capture whose tool starts it (py-spy): what is meant for the program must not reach the tool.

The tool would be watched by the other captures, whose preloaded library it would inherit, and would write among the
program's output.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from tracekit.errors import EnvironmentLacks
from tracekit.foreground import Streams

_JOINED = ("LD_PRELOAD", "PYTHONPATH")
"""Variables that are lists: the user's own entries stay, after ours."""

_SINGLE_DIGITS = range(3, 10)
"""What a POSIX shell can redirect."""


def with_variables(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """`env` with a capture's variables."""
    result = {**env, **added}
    for name in _JOINED:
        theirs, ours = env.get(name), added.get(name)
        if theirs and ours and theirs not in ours:
            result[name] = f"{ours}{os.pathsep}{theirs}"
    return result


def changes(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The variables that differ when `added` goes into `env`."""
    return {name: value for name, value in with_variables(env, added).items() if env.get(name) != value}


def setting(variables: Mapping[str, str], argv: list[str]) -> list[str]:
    """The command that runs `argv` with these variables, which the one who starts it does not have."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *argv] if variables else argv


@contextmanager
def apart(argv: list[str], streams: Streams, log: Path) -> Iterator[tuple[list[str], Streams]]:
    """Let a tool start `argv` with `streams`, while the tool's own stdout and stderr go to the file `log`.

    Gives the command for the tool to start, and the tool's streams. Raises EnvironmentLacks when too many descriptors
    were inherited, OSError when the log cannot be written.
    """
    free = [fd for fd in _SINGLE_DIGITS if not _is_open(fd)]
    if len(free) < 2:
        raise EnvironmentLacks("py-spy needs two free descriptors below 10", "tracekit record --capture waits ...")
    out, err = free[:2]
    with ExitStack() as stack:
        for target, given, own in ((out, streams.stdout, 1), (err, streams.stderr, 2)):
            os.dup2(_descriptor(given, own, stack), target)
            stack.callback(os.close, target)
        told = stack.enter_context(log.open("ab"))
        script = f'exec "$@" >&{out} 2>&{err} {out}>&- {err}>&-'
        yield ["/bin/sh", "-c", script, "sh", *argv], Streams(stdin=streams.stdin, stdout=told, stderr=told)


def _descriptor(given: IO[Any] | int | None, own: int, stack: ExitStack) -> int:
    """The open descriptor behind what subprocess takes as a stream; nothing, or a closed one, is /dev/null."""
    if given is not None and not isinstance(given, int):
        return given.fileno()
    wanted = own if given is None else given
    if wanted >= 0 and _is_open(wanted):
        return wanted
    null = os.open(os.devnull, os.O_RDWR)
    stack.callback(os.close, null)
    return null


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
