"""What the kernel says of a run by itself, as far as the comparisons need more than the tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.load.kernel.trace import read_trace
from tracekit.bundle.kernel_files import FOLDER
from tracekit.bundle.store import Bundle

_STATES = 0xFF
"""The bits of prev_state that are a state; without any the thread could have gone on (include/trace/events/sched.h)."""
_DEAD = 0x10 | 0x20
_NONE: Array = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSaw:
    """The kernel capture's side of one run."""

    gil: bool
    """Whether uprobes were on take_gil and drop_gil."""
    lost: int = 0
    """Events that are not here, as far as the kernel counted."""
    switches: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """Thread id -> when it was switched away from, by its own will and not, CLOCK_MONOTONIC ns."""

    def blocked_from(self, tid: int, starts: Array, ends: Array) -> Array:
        """When the thread first gave up its CPU by its own will in each of these intervals; where it never did, the
        interval's end."""
        willing, _ = self.switches.get(tid, (_NONE, _NONE))
        if not len(willing):
            return ends
        place = np.searchsorted(willing, starts)
        first = willing[np.minimum(place, len(willing) - 1)]
        found: Array = np.where((place < len(willing)) & (first <= ends), first, ends)
        return found

    def counted(self, tid: int, since_ns: int, until_ns: int) -> tuple[int, int]:
        """Voluntary and involuntary switches of that thread between two times."""
        willing, unwilling = (
            int(((since_ns <= moments) & (moments <= until_ns)).sum())
            for moments in self.switches.get(tid, (_NONE, _NONE))
        )
        return willing, unwilling


def no_truth(kernel: KernelSaw | None) -> str:
    """Why the kernel's uprobes give no truth about a GIL; empty when they do."""
    if kernel is None:
        return "the kernel capture did not run"
    if not kernel.gil:
        return "this Python has no symbols that uprobes could be placed on"
    return f"the kernel lost {kernel.lost:,} events" if kernel.lost else ""


def saw(bundle: Bundle) -> KernelSaw | None:
    """None where the kernel capture did not run. Raises BundleCorrupt or BundleTooNew."""
    trace = read_trace(bundle.raw / FOLDER)
    if trace is None:
        return None
    events = trace.kinds["sched/sched_switch"]
    return KernelSaw(
        gil=trace.has_gil_probes,
        lost=trace.lost,
        switches=switches(events["prev_pid"], events["prev_state"], events["ts_ns"]),
    )


def switches(tids: Array, states: Array, times: Array) -> dict[int, tuple[Array, Array]]:
    """By thread id, from the fields of sched_switch that tell who left its CPU, why and when.

    Only this side of a switch is used: it happens in the thread itself, so it is recorded also on machines where the
    kernel records nothing in the context of certain other tasks, whose switch to our thread is then missing.
    """
    bits = states & _STATES
    alive = (bits & _DEAD) == 0
    found = {}
    for tid in np.unique(tids).tolist():
        of_thread = (tids == tid) & alive
        found[tid] = (times[of_thread & (bits != 0)], times[of_thread & (bits == 0)])
    return found
