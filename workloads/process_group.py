"""The processes of a program that a workload starts: one process group, by which all of them are found and ended."""

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
    """The running processes of that group, without zombies."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # After the name, which may hold anything.
            state, _, group = path.read_bytes().rpartition(b")")[2].split()[:3]
            if int(group) == leader and state != b"Z":
                found.add(int(path.parent.name))
    return found


def end(leader: int) -> None:
    """Kill the processes of the group. multiprocessing's resource tracker comes last: when the others are gone it
    removes their semaphores and ends by itself. A process that cannot be killed is left after a while."""
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
