"""Finds the run's processes and threads in the kernel's trace, from the events of their starts, execs and ends.

The run is what tracekit's starting thread forked, and all descendants. The kernel may reuse a thread id within a run,
so each start begins a new ThreadLifetime.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekit.analysis.load.kernel.trace import KernelTrace

_CLONE_THREAD = 0x00010000
_BORN, _EXEC, _ENDED = range(3)


@dataclass(slots=True, kw_only=True)
class ThreadLifetime:
    """One thread from its start to its end, ns of CLOCK_MONOTONIC."""

    tid: int
    pid: int
    born_ns: int
    ended_ns: int | None = None
    """None: it was still running at the end of the trace, or its end was lost."""
    name: str = ""
    """Its name when it ended, at most 15 bytes."""


@dataclass(slots=True, kw_only=True)
class KernelProcess:
    """One process with all its threads, in order of their starts."""

    pid: int
    ppid: int
    born_ns: int
    exec_ns: int | None = None
    """Its last exec; None for a forked process without one."""
    executable: str = ""
    """The file of its last exec, or of the process that it was forked from; empty when not in the trace."""
    threads: list[ThreadLifetime] = field(default_factory=list)

    @property
    def ended_ns(self) -> int | None:
        """When its last thread ended; None when that is not in the trace."""
        ends = [thread.ended_ns for thread in self.threads]
        return None if None in ends else max((end for end in ends if end is not None), default=None)


def find_processes(trace: KernelTrace) -> list[KernelProcess]:
    """Find every process of the run, in order of start."""
    found: list[KernelProcess] = []
    living: dict[int, tuple[KernelProcess, ThreadLifetime]] = {}
    for moment_ns, what, tid, other, text in _list_events(trace):
        if what == _BORN:
            thread = _add_thread(trace, found, living, moment_ns, tid, other, is_thread=text == "thread")
            if thread is not None:
                living[tid] = thread
            else:
                # The kernel gave the id of an ended thread to one outside the run.
                living.pop(tid, None)
        elif what == _EXEC:
            _exec_thread(living, moment_ns, tid, other, text)
        elif tid in living:
            living[tid][1].ended_ns = moment_ns
            living[tid][1].name = text
    return found


def _list_events(trace: KernelTrace) -> list[tuple[int, int, int, int, str]]:
    """(ns, what, thread, other thread, text) in order of time. The other is the parent, or the caller of exec."""
    kinds, moments = trace.kinds, list[tuple[int, int, int, int, str]]()
    if births := kinds.get("task/task_newtask"):
        columns = (births[name].tolist() for name in ("ts_ns", "pid", "common_pid", "clone_flags"))
        for when, tid, parent, flags in zip(*columns, strict=True):
            moments.append((when, _BORN, tid, parent, "thread" if flags & _CLONE_THREAD else "process"))
    if execs := kinds.get("sched/sched_process_exec"):
        columns = (execs[name].tolist() for name in ("ts_ns", "pid", "old_pid"))
        for when, tid, caller, path in zip(*columns, execs.texts, strict=True):
            moments.append((when, _EXEC, tid, caller, path))
    if ends := kinds.get("sched/sched_process_exit"):
        for when, tid, name in zip(ends["ts_ns"].tolist(), ends["pid"].tolist(), ends.texts, strict=True):
            moments.append((when, _ENDED, tid, 0, name))
    return sorted(moments)


def _add_thread(
    trace: KernelTrace,
    found: list[KernelProcess],
    living: dict[int, tuple[KernelProcess, ThreadLifetime]],
    moment_ns: int,
    tid: int,
    parent_tid: int,
    *,
    is_thread: bool,
) -> tuple[KernelProcess, ThreadLifetime] | None:
    parent = living.get(parent_tid)
    if parent is None and (is_thread or parent_tid != trace.start_tid):
        return None
    if parent is not None and is_thread:
        process = parent[0]
    else:
        ppid = trace.pid if parent is None else parent[0].pid
        executable = "" if parent is None else parent[0].executable
        process = KernelProcess(pid=tid, ppid=ppid, born_ns=moment_ns, executable=executable)
        found.append(process)
    thread = ThreadLifetime(tid=tid, pid=process.pid, born_ns=moment_ns)
    process.threads.append(thread)
    return process, thread


def _exec_thread(
    living: dict[int, tuple[KernelProcess, ThreadLifetime]], moment_ns: int, tid: int, caller: int, path: str
) -> None:
    """Apply an exec. When a thread other than the first calls it, that thread takes the first one's id; all others have
    ended by then.
    """
    if caller not in living:
        return
    process, thread = living[caller]
    process.exec_ns, process.executable = moment_ns, path
    if caller != tid:
        thread.ended_ns = moment_ns
        again = ThreadLifetime(tid=tid, pid=process.pid, born_ns=moment_ns)
        process.threads.append(again)
        living[tid] = (process, again)
        del living[caller]
