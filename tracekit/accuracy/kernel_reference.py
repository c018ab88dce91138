"""The kernel capture's own record of a run, where comparisons need more than the tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.load.kernel.trace import read_trace
from tracekit.bundle.kernel_files import FOLDER
from tracekit.bundle.store import Bundle

_STATES = 0xFF
"""The bits of prev_state that are a state; 0 means preempted (kernel: include/trace/events/sched.h)."""
_DEAD = 0x10 | 0x20
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
    events = trace.kinds["sched/sched_switch"]
    return KernelReference(
        gil=trace.has_gil_probes,
        lost=trace.lost,
        switches=switches(events["prev_pid"], events["prev_state"], events["ts_ns"]),
    )


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
