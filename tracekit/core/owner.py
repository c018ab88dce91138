"""Which process owns something on disk. Process ids are reused; an id with its start time is unique."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def read_start_ticks(pid: int) -> int | None:
    """When that process started, in clock ticks since boot; None when it does not run. Source: proc(5), stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything, also a parenthesis.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def describe_owner() -> dict[str, object]:
    """This process, for a file that others read."""
    return {"pid": os.getpid(), "start_ticks": read_start_ticks(os.getpid()), "place": _find_place()}


def is_dead(owner: object) -> bool:
    """Whether the process that `describe_owner` described is known to have ended.

    Not known is what ran elsewhere: on another host, in another container.
    """
    if not isinstance(owner, dict):
        return False
    pid, start_ticks = owner.get("pid"), owner.get("start_ticks")
    if type(pid) is not int or type(start_ticks) is not int or owner.get("place") != _find_place():
        return False
    return read_start_ticks(pid) != start_ticks


def _find_place() -> str:
    """Where process ids mean the same: this host, and its pid namespace."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{platform.node()} {namespace}"
