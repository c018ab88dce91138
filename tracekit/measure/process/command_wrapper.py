"""A command under a capture whose tool starts it (py-spy): what is meant for the program must not reach the tool.

The tool would be watched by the other captures, whose preloaded library it would inherit, and would write among the
program's output.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tracekit.core.errors import EnvironmentLacks
from tracekit.measure.process.foreground import Streams

_JOINED = ("LD_PRELOAD", "PYTHONPATH")
"""Variables that are lists: the user's own entries stay, after ours."""

_SINGLE_DIGITS = range(3, 10)
"""What a POSIX shell can redirect."""


def with_variables(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """`env` with a capture's variables."""
    result = {**env, **added}
    for name in _JOINED:
        theirs, ours = env.get(name), added.get(name)
        if theirs and ours:
            added_entries = ours.split(os.pathsep)
            kept = [entry for entry in theirs.split(os.pathsep) if entry not in added_entries]
            result[name] = os.pathsep.join([ours, *kept])
    return result


def changes(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The variables that differ when `added` goes into `env`."""
    return {name: value for name, value in with_variables(env, added).items() if env.get(name) != value}


def setting(variables: Mapping[str, str], argv: list[str]) -> list[str]:
    """The command that runs `argv` with these variables, which the one who starts it does not have."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *argv] if variables else argv


def apart(argv: list[str], wrap: Callable[[list[str]], list[str]], log: Path) -> list[str]:
    """The command under which `wrap`'s tool starts `argv` with the streams that the tool was given.

    The tool's own stdout and stderr go to the file `log`.

    Raises EnvironmentLacks when too many descriptors are inherited, OSError when the log cannot be written.
    """
    free = [fd for fd in _SINGLE_DIGITS if not _is_inherited(fd)]
    if len(free) < 2:
        raise EnvironmentLacks("py-spy needs two free descriptors below 10", "tracekit record --capture waits ...")
    out, err = free[:2]
    log.open("ab").close()
    before = f'exec {out}>&1 {err}>&2 >>"$0" 2>&1 && exec "$@"'
    after = f'exec "$@" >&{out} 2>&{err} {out}>&- {err}>&-'
    return ["/bin/sh", "-c", before, str(log), *wrap(["/bin/sh", "-c", after, "sh", *argv])]


def open_streams(streams: Streams) -> Streams:
    """The same streams, with /dev/null for an output that is closed: a shell cannot pass it on."""
    return Streams(
        stdin=streams.stdin,
        stdout=subprocess.DEVNULL if streams.stdout is None and not _is_inherited(1) else streams.stdout,
        stderr=subprocess.DEVNULL if streams.stderr is None and not _is_inherited(2) else streams.stderr,
    )


def _is_inherited(fd: int) -> bool:
    """Whether a program that we start finds it open. One of ours may have the number of a stream that was closed."""
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
