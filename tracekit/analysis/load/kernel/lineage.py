"""Which threads and processes the run had, from their births, execs and ends.

The run is everything that the starting thread of tracekit forked, and whatever that forked. A thread id may come round
again within a run, so each birth begins a life of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekit.analysis.load.kernel.trace import Trace

_CLONE_THREAD = 0x00010000
_BORN, _EXEC, _ENDED = range(3)


@dataclass(slots=True, kw_only=True)
class Life:
    """One thread from its birth to its end."""

    tid: int
    pid: int
    born_ns: int
    ended_ns: int | None = None
    """None: it ran on, or its end was lost."""
    name: str = ""
    """What it was called when it ended, at most 15 bytes."""


@dataclass(slots=True, kw_only=True)
class Process:
    """One process; `lives` are its threads."""

    pid: int
    ppid: int
    born_ns: int
    exec_ns: int | None = None
    """Its last exec; None when it is a fork that runs on."""
    executable: str = ""
    """The file of its last exec, or that of the process that it was forked from; empty when not seen."""
    lives: list[Life] = field(default_factory=list)

    @property
    def ended_ns(self) -> int | None:
        """When its last thread ended; None when that was not seen."""
        ends = [life.ended_ns for life in self.lives]
        return None if None in ends else max((end for end in ends if end is not None), default=None)


def processes_of(trace: Trace) -> list[Process]:
    """Every process of the run, in order of birth."""
    found: list[Process] = []
    living: dict[int, tuple[Process, Life]] = {}
    for moment_ns, what, tid, other, text in _moments(trace):
        if what == _BORN:
            life = _born(trace, found, living, moment_ns, tid, other, is_thread=text == "thread")
            if life is not None:
                living[tid] = life
            else:
                # The id of one that is gone came round outside the run.
                living.pop(tid, None)
        elif what == _EXEC:
            _executed(living, moment_ns, tid, other, text)
        elif tid in living:
            living[tid][1].ended_ns = moment_ns
            living[tid][1].name = text
    return found


def _moments(trace: Trace) -> list[tuple[int, int, int, int, str]]:
    """(when, what, thread, the other thread, text) in order of time. The other is the parent, or who called exec."""
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


def _born(
    trace: Trace,
    found: list[Process],
    living: dict[int, tuple[Process, Life]],
    moment_ns: int,
    tid: int,
    parent_tid: int,
    *,
    is_thread: bool,
) -> tuple[Process, Life] | None:
    parent = living.get(parent_tid)
    if parent is None and (is_thread or parent_tid != trace.start_tid):
        return None
    if parent is not None and is_thread:
        process = parent[0]
    else:
        ppid = trace.pid if parent is None else parent[0].pid
        executable = "" if parent is None else parent[0].executable
        process = Process(pid=tid, ppid=ppid, born_ns=moment_ns, executable=executable)
        found.append(process)
    life = Life(tid=tid, pid=process.pid, born_ns=moment_ns)
    process.lives.append(life)
    return process, life


def _executed(living: dict[int, tuple[Process, Life]], moment_ns: int, tid: int, caller: int, path: str) -> None:
    """A thread that is not the first takes the first one's id when it calls exec; all others have ended by then."""
    if caller not in living:
        return
    process, life = living[caller]
    process.exec_ns, process.executable = moment_ns, path
    if caller != tid:
        life.ended_ns = moment_ns
        again = Life(tid=tid, pid=process.pid, born_ns=moment_ns)
        process.lives.append(again)
        living[tid] = (process, again)
        del living[caller]
