"""Ending what a measured process leaves: every member of the session that it led, and the daemons that left it.

The fork server and the resource tracker outlive the process that started them, and workers whose parent was killed
wait for work for ever. The tracker is left to the end, because it removes the semaphores and shared memory that killed
processes leave.
"""

from __future__ import annotations

import os
import time

from tracekit.system.process_table import RunningProcess, find_process, list_session

_GRACE_S = 2.0
_SETTLE_S = 0.05
_POLL_S = 0.005


def end_family(leader: int, *, with_descendants: bool) -> None:
    """Kill what is left of `leader`, a process that has ended: the session that it was the leader of and, in a process
    that adopts orphans, all descendants of that process."""

    def list_members() -> list[RunningProcess]:
        own = find_process(os.getpid()) if with_descendants else None
        found = list_session(leader) + ([] if own is None else own.children(recursive=True))
        return list({member.pid: member for member in found}.values())

    # Most end by themselves now that the leader is gone. Looked at too early, a tracker that has not replaced its
    # parent's image yet cannot be told from a worker.
    _wait_for_end(list_members(), _SETTLE_S)
    limit = time.monotonic() + _GRACE_S
    # Listed anew each time: a member may start another while it is being looked at.
    while workers := [member for member in _running(list_members()) if not _is_tracker(member)]:
        for member in workers:
            member.kill()
        if time.monotonic() > limit:
            break
        time.sleep(_POLL_S)
    for member in _wait_for_end(list_members(), _GRACE_S):
        member.kill()
    _wait_for_end(list_members(), _GRACE_S)


def _wait_for_end(members: list[RunningProcess], grace_s: float) -> list[RunningProcess]:
    """Wait until these have ended by themselves; returns those that have not after `grace_s`."""
    limit = time.monotonic() + grace_s
    while (running := _running(members)) and time.monotonic() < limit:
        time.sleep(_POLL_S)
    return running


def _running(members: list[RunningProcess]) -> list[RunningProcess]:
    return [member for member in members if member.is_running()]


def _is_tracker(member: RunningProcess) -> bool:
    return any("resource_tracker" in word for word in member.command_line())
