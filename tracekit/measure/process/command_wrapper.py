"""Builds the command of a program that a capture's tool starts (py-spy), so that tool and program stay apart.

Otherwise the tool would inherit the other captures' preloaded library and be watched itself, and would write among the
program's output.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tracekit.core.errors import EnvironmentLacks
from tracekit.measure.process.foreground import StandardStreams

_LIST_VARIABLES = ("LD_PRELOAD", "PYTHONPATH")
"""Variables that hold lists: the user's own entries stay, after ours."""

_SINGLE_DIGITS = range(3, 10)
"""What a POSIX shell can redirect."""


def add_variables(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """`env` with a capture's variables."""
    result = {**env, **added}
    for name in _LIST_VARIABLES:
        theirs, ours = env.get(name), added.get(name)
        if theirs and ours:
            added_entries = ours.split(os.pathsep)
            kept = [entry for entry in theirs.split(os.pathsep) if entry not in added_entries]
            result[name] = os.pathsep.join([ours, *kept])
    return result


def changed_variables(env: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The variables that differ when `added` goes into `env`."""
    return {name: value for name, value in add_variables(env, added).items() if env.get(name) != value}


def prefix_env(variables: Mapping[str, str], argv: list[str]) -> list[str]:
    """The command that runs `argv` with these variables, which its parent does not have."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *argv] if variables else argv


def wrap_apart(
    argv: list[str], variables: Mapping[str, str | None], wrap: Callable[[list[str]], list[str]], log: Path, gate: str
) -> list[str]:
    """The command under which the tool of `wrap` starts `argv`, each with streams and variables of its own.

    The program gets the caller's streams, and `variables`, which the tool has not; None: without that one. What the
    tool itself prints goes to the file `log`. The program begins when there is a line to be read from `gate`.

    Raises EnvironmentLacks when too many descriptors are inherited, OSError when the log cannot be written.
    """
    free = [fd for fd in _SINGLE_DIGITS if not _is_inherited(fd)]
    if len(free) < 2:
        raise EnvironmentLacks("py-spy needs two free descriptors below 10", "tracekit record --capture waits ...")
    out, err = free[:2]
    log.open("ab").close()
    before = f'exec {out}>&1 {err}>&2 >>"$0" 2>&1 && exec "$@"'
    # Nothing stands between the gate and the program: its exec ends what the shell does.
    changes = [_set_in_shell(name, value) for name, value in variables.items()]
    after = "; ".join([*changes, f"read -r TRACEKIT_GATE <{gate}", f'exec "$@" >&{out} 2>&{err} {out}>&- {err}>&-'])
    return ["/bin/sh", "-c", before, str(log), *wrap(["/bin/sh", "-c", after, "sh", *argv])]


def _set_in_shell(name: str, value: str | None) -> str:
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def replace_closed_streams(streams: StandardStreams) -> StandardStreams:
    """The same streams, with /dev/null for an output that is closed: a shell cannot pass it on."""
    return StandardStreams(
        stdin=streams.stdin,
        stdout=subprocess.DEVNULL if streams.stdout is None and not _is_inherited(1) else streams.stdout,
        stderr=subprocess.DEVNULL if streams.stderr is None and not _is_inherited(2) else streams.stderr,
    )


def _is_inherited(fd: int) -> bool:
    """Whether a program that we start finds `fd` open. A file of ours may have a closed stream's number."""
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
