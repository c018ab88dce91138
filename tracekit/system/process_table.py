"""The processes of this machine: finding, signalling and reading them. The only module that imports psutil.

A process that ended meanwhile is no error anywhere here: it has no children and no memory, and no signal reaches it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import psutil

_SCHED_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h: the last bits of a clock's number."""


class RunningProcess:
    """One process, told apart from a later one of the same id."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def is_running(self) -> bool:
        """Whether it still runs. An orphan stays a zombie until init reaps it: it holds nothing any more."""
        try:
            return bool(self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def children(self, *, recursive: bool = False) -> list[RunningProcess]:
        """Its children; with `recursive` all its descendants."""
        try:
            return [RunningProcess(child) for child in self._process.children(recursive=recursive)]
        except psutil.Error:
            return []

    def command_line(self) -> list[str]:
        """The words that it was started with."""
        try:
            return list(self._process.cmdline())
        except psutil.Error:
            return []

    def read_memory(self) -> dict[str, int]:
        """Private (`uss`) and proportional (`pss`) bytes, those that this system knows.

        Never RSS, which counts shared pages once per process. Source: psutil's memory_full_info, on Linux
        /proc/<pid>/smaps_rollup.
        """
        try:
            memory = self._process.memory_full_info()
        except psutil.Error:
            return {}
        return {name: int(getattr(memory, name)) for name in ("uss", "pss") if hasattr(memory, name)}

    def send(self, number: int) -> None:
        """Send it a signal."""
        try:
            self._process.send_signal(number)
        except psutil.Error:
            return

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def find_process(pid: int) -> RunningProcess | None:
    """The process of that id; None when there is none."""
    try:
        return RunningProcess(psutil.Process(pid))
    except psutil.Error:
        return None


_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37
"""Of prctl(2), since Linux 3.4."""


def adopt_orphans() -> bool:
    """From now on be the parent of every descendant whose own parent ends: none leaves the family by becoming a daemon.
    Whether this system can do it."""
    return _prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def can_adopt_orphans() -> bool:
    """Whether `adopt_orphans` would work here; changes nothing."""
    return _prctl(_GET_CHILD_SUBREAPER, ctypes.byref(ctypes.c_int()))


def _prctl(option: int, value: object) -> bool:
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError, TypeError):
        return False
    return bool(prctl(option, value, *map(ctypes.c_ulong, (0, 0, 0))) == 0)


def is_ancestor(pid: int) -> bool:
    """Whether that process is the parent of this one, or its parent's, and so on."""
    try:
        return any(parent.pid == pid for parent in psutil.Process().parents())
    except psutil.Error:
        return False


def list_session(leader: int) -> list[RunningProcess]:
    """Every process of the session that `leader` leads or led, except the leader itself."""
    if not hasattr(os, "getsid"):
        # Windows has no sessions; of a process that ended, its children cannot be found.
        return []
    members = []
    for pid in psutil.pids():
        try:
            is_member = pid != leader and os.getsid(pid) == leader
        except OSError:
            continue
        if is_member and (member := find_process(pid)) is not None:
            members.append(member)
    return members


def read_steal_ns() -> int | None:
    """CPU time that the hypervisor took from this machine since boot, ns over all CPUs; None where nobody counts it."""
    try:
        steal = getattr(psutil.cpu_times(), "steal", None)
    except OSError:
        # Without /proc, in a sandbox.
        return None
    return None if steal is None else int(steal * 1e9)


def read_cpu_ns(pid: int) -> int | None:
    """The CPU time of all threads of a process so far, ns, also of one that has ended and is not yet reaped.

    None where there is none, and on systems other than Linux. Source: its CPU clock, as clock_getcpuclockid(3) has it.
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime_ns(~pid << 3 | _SCHED_CLOCK)
    except OSError:
        return None
