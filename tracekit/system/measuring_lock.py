"""One measurement at a time: a lock per machine and user, which says who measures.

It is an flock on a file in $XDG_RUNTIME_DIR, else in a folder of our own in /tmp, and not in $TMPDIR: two shells that
have different ones still share the CPUs. The kernel releases it when its holder dies, however that happens. A name in
TRACEKIT_LOCK is another lock: for tests, or for containers of one host that share nothing but the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tracekit.core.errors import EnvironmentLacks, MeasurementError, UsageError
from tracekit.system.process_table import is_ancestor

VARIABLE = "TRACEKIT_LOCK"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_POLL_S = 0.25
_MOST_BYTES = 4096
_SHOWN = 60
_SHARED = Path("/tmp")


class Holder(NamedTuple):
    """The tracekit that measures."""

    pid: int
    command: str

    def __str__(self) -> str:
        if not self.pid:
            return "another tracekit"
        return f"{textwrap.shorten(self.command, _SHOWN, placeholder=' ...')} (process {self.pid})"


@contextmanager
def hold_lock(
    command: str, *, beside: bool = False, waits: bool = True, on_wait: Callable[[Holder], None] = lambda _holder: None
) -> Iterator[None]:
    """Hold the lock for the length of a `with`; `command` is what others are told.

    While another tracekit holds it this one waits, and `on_wait` gets every holder once. It goes on without the lock
    `beside` another one, and where that one cannot end before this one: an ancestor, of a tracekit that is a part of
    what is measured, and the other end of `tracekit record -- a | tracekit record -- b`.

    Raises MeasurementError where it has to wait and must not, UsageError for a wrong name in TRACEKIT_LOCK,
    EnvironmentLacks where the lock cannot be made.
    """
    path = _find_path()
    told: Holder | None = None
    while (descriptor := _try_to_take(path)) is None:
        holder = _read_holder(path)
        if beside or (holder.pid and (is_ancestor(holder.pid) or _is_in_our_pipeline(holder.pid))):
            yield
            return
        if not waits:
            raise MeasurementError(f"{holder} measures here", "wait for it, or measure beside it with --anyway")
        if holder != told:
            told = holder
            on_wait(holder)
        time.sleep(_POLL_S)
    try:
        os.pwrite(descriptor, json.dumps([os.getpid(), command[: _MOST_BYTES // 8]]).encode(), 0)
        yield
    finally:
        # While it is held: who opened it before notices that it is no longer there.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _is_in_our_pipeline(pid: int) -> bool:
    """Whether that process and this one are of one job, and one of them reads from a pipe."""
    with suppress(OSError):
        inputs = (os.fstat(0), Path(f"/proc/{pid}/fd/0").stat())
        return os.getpgid(pid) == os.getpgrp() and any(stat.S_ISFIFO(item.st_mode) for item in inputs)
    return False


def _find_path() -> Path:
    name = os.environ.get(VARIABLE) or "measuring"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{VARIABLE}={name!r} cannot name a lock", f"{VARIABLE}=mine: letters, digits and . _ -")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    folder = runtime if runtime.is_absolute() and _is_ours(runtime) else _SHARED / f"tracekit-{os.geteuid()}"
    if folder != runtime:
        with suppress(FileExistsError), _explain(folder):
            folder.mkdir(0o700)
        if not _is_ours(folder):
            raise EnvironmentLacks(f"{folder} is not a folder of yours alone", f"ls -ld {folder}")
        with _explain(folder):
            folder.chmod(0o700)
    return folder / f"tracekit-{name}.lock"


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder, and no link to one, in which nobody else can put anything."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _try_to_take(path: Path) -> int | None:
    """The descriptor that holds the lock; None while somebody else does."""
    while True:
        with _explain(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        is_taken = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have removed it in between: then it locks nothing.
            is_taken = os.path.samestat(os.fstat(descriptor), path.lstat())
        except BlockingIOError:
            return None
        except FileNotFoundError:
            pass
        finally:
            if not is_taken:
                os.close(descriptor)
        if is_taken:
            os.ftruncate(descriptor, 0)
            return descriptor


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise EnvironmentLacks(f"cannot use {path} as a lock: {error.strerror}", f"ls -ld {path}") from error


def _read_holder(path: Path) -> Holder:
    """Who holds it; of process 0 while nobody has said so."""
    try:
        pid, command = json.loads(path.read_bytes()[:_MOST_BYTES])
        return Holder(int(pid), str(command))
    except (OSError, ValueError, TypeError):
        return Holder(0, "")
