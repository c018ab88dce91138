"""The processes of a program that a workload starts: one group, led by the program, so that all of them are found when
it has ended or has to be."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_GRACE_S = 5.0
_LOOK_S = 0.01
_TRACKER = b"resource_tracker"


def members(leader: int) -> set[int]:
    """The processes of that group that run; an orphan that has ended is for init to reap."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # After the name, which may hold anything.
            state, _, group = path.read_bytes().rpartition(b")")[2].split()[:3]
            if int(group) == leader and state != b"Z":
                found.add(int(path.parent.name))
    return found


def end(leader: int) -> None:
    """End all of them. multiprocessing's resource tracker is left to the end: when the others are gone it removes the
    semaphores that they leave, and goes by itself. What the kernel does not let go of is left to it after a while."""
    limit = time.monotonic() + _GRACE_S
    while (left := members(leader)) and time.monotonic() < limit + _GRACE_S:
        late = time.monotonic() > limit
        for pid in left:
            if late or not _is_tracker(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _is_tracker(pid: int) -> bool:
    with suppress(OSError):
        return _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
