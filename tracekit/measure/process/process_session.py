"""Ending what a measured process leaves: every member of the session it led.

The fork server and the resource tracker outlive the process that started them, and workers whose parent was killed
wait for work for ever. The tracker is left to the end, because it removes the semaphores and shared memory that killed
processes leave.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

_GRACE_S = 2.0
_SETTLE_S = 0.05
_POLL_S = 0.005


def end_session(leader: int) -> None:
    """Kill what is left of the session that `leader`, a process that has ended, was the leader of."""
    # Most end by themselves now that the leader is gone. Who is looked at too early may be a tracker that has not
    # replaced its parent's image yet and cannot be told from a worker.
    _still_alive(_session_members(leader), _SETTLE_S)
    limit = time.monotonic() + _GRACE_S
    # Listed anew each time: a member may start another while it is being looked at.
    while workers := [member for member in _running(_session_members(leader)) if not _is_tracker(member)]:
        for member in workers:
            kill(member)
        if time.monotonic() > limit:
            break
        time.sleep(_POLL_S)
    for member in _still_alive(_session_members(leader), _GRACE_S):
        kill(member)
    _still_alive(_session_members(leader), _GRACE_S)


def kill(member: psutil.Process) -> None:
    """End one process at once; one that has ended already is no error."""
    try:
        member.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    except psutil.Error:
        return


def _still_alive(members: list[psutil.Process], grace_s: float) -> list[psutil.Process]:
    """Those that have not ended by themselves after a grace."""
    limit = time.monotonic() + grace_s
    while (alive := _running(members)) and time.monotonic() < limit:
        time.sleep(_POLL_S)
    return alive


def _running(members: list[psutil.Process]) -> list[psutil.Process]:
    return [member for member in members if _runs(member)]


def _runs(member: psutil.Process) -> bool:
    try:
        # An orphan stays a zombie until init reaps it: it holds nothing any more.
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _session_members(leader: int) -> list[psutil.Process]:
    """Every process of the leader's session except the leader itself."""
    if not hasattr(os, "getsid"):
        # Windows has no sessions; a process that ended takes the way to its children with it.
        return []
    members = []
    for pid in psutil.pids():
        try:
            if pid != leader and os.getsid(pid) == leader:
                members.append(psutil.Process(pid))
        except (OSError, psutil.NoSuchProcess):
            continue
    return members


def _is_tracker(member: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in word for word in member.cmdline())
    except psutil.Error:
        return False
