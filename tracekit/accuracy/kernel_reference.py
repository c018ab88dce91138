"""The kernel capture's own record of a run, where comparisons need more than the tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.load.kernel.trace import KernelEvents, KernelTrace, read_trace
from tracekit.bundle.kernel_files import FOLDER, WAKING
from tracekit.bundle.store import Bundle

_STATES = 0xFF
"""The bits of prev_state that are a state; 0 means preempted (kernel: include/trace/events/sched.h)."""
_DEAD = 0x10 | 0x20
_LIFE = ("task/task_newtask", "sched/sched_process_exec", "sched/sched_process_exit")
_SLEPT, _LEFT, _RAN, _WOKEN = range(4)
_NONE: Array = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelReference:
    """What the kernel recorded of one run."""

    gil: bool
    """Whether uprobes were on take_gil and drop_gil."""
    lost: int = 0
    """Events that the kernel counted but did not keep."""
    switches: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """Thread id -> times of its voluntary and of its involuntary switches, int64 arrays, CLOCK_MONOTONIC ns."""
    missing: dict[int, int] = field(default_factory=dict)
    """Thread id -> ns between two of its events of which one more must have been between: it ran, waited or slept, and
    nothing says which. Some machines' kernels record nothing in the context of certain other tasks."""
    drops: tuple[Array, Array] = (_NONE, _NONE)
    """Entries of drop_gil, in order of time: when, CLOCK_MONOTONIC ns, and the thread's id; int64 arrays."""
    dropped: tuple[Array, Array] = (_NONE, _NONE)
    """Returns from drop_gil, likewise."""
    takes: tuple[Array, Array] = (_NONE, _NONE)
    """Entries of take_gil, likewise."""
    taken: tuple[Array, Array] = (_NONE, _NONE)
    """Returns from take_gil, likewise."""
    wakings: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """Thread id -> when it was woken, CLOCK_MONOTONIC ns, and by which thread (or whom an interrupt met); int64."""
    born: dict[int, int] = field(default_factory=dict)
    """Thread id -> when it was created, CLOCK_MONOTONIC ns. Of an id that was used twice, the first time."""
    executed: dict[int, int] = field(default_factory=dict)
    """Process id -> when it first called exec."""
    ended: dict[int, int] = field(default_factory=dict)
    """Thread id -> when the kernel began to take it down; of an id that was used twice, the last time."""

    def find_first_block(self, tid: int, starts: Array, ends: Array) -> Array:
        """The thread's first voluntary switch in each interval (int64 arrays, ns); the interval's end without one."""
        voluntary, _ = self.switches.get(tid, (_NONE, _NONE))
        if not len(voluntary):
            return ends
        place = np.searchsorted(voluntary, starts)
        first = voluntary[np.minimum(place, len(voluntary) - 1)]
        found: Array = np.where((place < len(voluntary)) & (first <= ends), first, ends)
        return found

    def count_switches(self, tid: int, since_ns: int, until_ns: int) -> tuple[int, int]:
        """Count the thread's voluntary and involuntary switches between two times."""
        voluntary, involuntary = (
            int(((since_ns <= moments) & (moments <= until_ns)).sum())
            for moments in self.switches.get(tid, (_NONE, _NONE))
        )
        return voluntary, involuntary

    def find_last_drop(self, tid: int, ends: Array) -> Array:
        """The last entry of drop_gil by another thread before each of these times (int64 arrays, ns); -1 for none."""
        times, tids = self.drops
        others = times[tids != tid]
        found: Array = np.append(others, -1)[np.searchsorted(others, ends) - 1]
        return found

    def lie_in_call(self, tid: int, points: Array, since: Array, returns: tuple[Array, Array]) -> npt.NDArray[np.bool_]:
        """Which points (int64, ns) lie in a call by the thread behind a moment of `since`, without a sleep between.

        A moment is in the call: its entry, or the end of a sleep. `returns` are those of the function.
        """
        times, tids = returns
        others = np.sort(np.concatenate([times[tids == tid], self.switches.get(tid, (_NONE, _NONE))[0]]))
        begun, left = (
            np.append(moments, -1)[np.searchsorted(moments, points, side="right") - 1]
            for moments in (np.sort(since), others)
        )
        found: npt.NDArray[np.bool_] = begun > left
        return found


def explain_missing_reference(kernel: KernelReference | None) -> str:
    """Why the kernel's uprobes give no reference for the GIL wait; empty when they do."""
    if kernel is None:
        return "the kernel capture did not run"
    if not kernel.gil:
        return "this Python has no symbols that uprobes could be placed on"
    return f"the kernel lost {kernel.lost:,} events" if kernel.lost else ""


def read_reference(bundle: Bundle) -> KernelReference | None:
    """Read the kernel's record; None where the capture did not run. Raises BundleCorrupt or BundleTooNew."""
    trace = read_trace(bundle.raw / FOLDER)
    if trace is None:
        return None
    events = trace.switches
    first, last = ({name: _index(trace.kinds[name], latest) for name in _LIFE} for latest in (False, True))
    return KernelReference(
        born=first["task/task_newtask"],
        executed=first["sched/sched_process_exec"],
        ended=last["sched/sched_process_exit"],
        gil=trace.has_gil_probes,
        drops=_list_calls(trace, "drop_gil entry"),
        dropped=_list_calls(trace, "drop_gil return"),
        takes=_list_calls(trace, "take_gil entry"),
        taken=_list_calls(trace, "take_gil return"),
        missing=sum_missing(events, trace.wakeups),
        lost=trace.lost,
        wakings=_group_wakings(trace.kinds[WAKING]),
        switches=switches(events["prev_pid"], events["prev_state"], events["ts_ns"]),
    )


def sum_missing(switched: KernelEvents, woken: KernelEvents) -> dict[int, int]:
    """Per thread: ns between two of its events that cannot follow one another.

    All of it is unknown: on a virtual machine a thread also waits for an idle CPU, until the host gives it one.
    """
    asleep = (switched["prev_state"] & _STATES) != 0
    tids = np.concatenate([switched["prev_pid"], switched["next_pid"], woken["pid"]])
    times = np.concatenate([switched["ts_ns"], switched["ts_ns"], woken["ts_ns"]])
    counts = len(switched), len(woken)
    what = np.concatenate([np.where(asleep, _SLEPT, _LEFT), np.full(counts[0], _RAN), np.full(counts[1], _WOKEN)])
    order = np.lexsort((times, tids))
    tids, times, what = tids[order], times[order], what[order]
    before, after = what[:-1], what[1:]
    left = (after == _SLEPT) | (after == _LEFT)
    # To leave a CPU one must have been on it, and to be on it again one must have been woken.
    wrong = np.where(left, before != _RAN, (after == _RAN) & ((before == _RAN) | (before == _SLEPT)))
    wrong &= (tids[1:] == tids[:-1]) & (tids[1:] != 0)
    found: dict[int, int] = {}
    for tid, length in zip(tids[1:][wrong].tolist(), np.diff(times)[wrong].tolist(), strict=True):
        found[tid] = found.get(tid, 0) + length
    return found


def _list_calls(trace: KernelTrace, name: str) -> tuple[Array, Array]:
    calls = trace.kinds.get(name)
    return (_NONE, _NONE) if calls is None else (calls["ts_ns"], calls["common_pid"])


def _group_wakings(events: KernelEvents) -> dict[int, tuple[Array, Array]]:
    return {
        int(tid): (events["ts_ns"][chosen], events["common_pid"][chosen])
        for tid in np.unique(events["pid"])
        if len(chosen := np.flatnonzero(events["pid"] == tid))
    }


def _index(events: KernelEvents, latest: bool) -> dict[int, int]:
    """Thread id -> the time of its first or latest event."""
    pairs = list(zip(events["pid"].tolist(), events["ts_ns"].tolist(), strict=True))
    return dict(pairs if latest else reversed(pairs))


def switches(tids: Array, states: Array, times: Array) -> dict[int, tuple[Array, Array]]:
    """Group switches by the thread that left its CPU, from the fields prev_pid, prev_state and time of sched_switch.

    Only this side of a switch is used. It happens in the thread's own context, so it is also recorded on machines
    where the kernel records nothing in the context of certain other tasks.
    """
    bits = states & _STATES
    alive = (bits & _DEAD) == 0
    found = {}
    for tid in np.unique(tids).tolist():
        of_thread = (tids == tid) & alive
        found[tid] = (times[of_thread & (bits != 0)], times[of_thread & (bits == 0)])
    return found
