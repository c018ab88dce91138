"""Switches that the kernel did not record, told from those that it did.

On one CPU each switch leads away from the thread that the one before it led to. Some kernels, those of virtual machines
above all, record nothing where an idle CPU wakes up or where the host's own agent gives it back: then a thread leaves a
CPU that nothing had led it to. The switch to it came after the switch before on that CPU, after the thread had left the
CPU it was on, and after it was woken: the latest of the three is taken, which is exact to some microseconds where the
CPU was idle.
"""

from __future__ import annotations

import numpy as np

from tracekit.analysis.load.kernel.thread_events import Array, last_before
from tracekit.analysis.load.kernel.trace import Trace


def missed_switches(trace: Trace) -> tuple[Array, Array, Array]:
    """(thread, time, CPU) of every switch to a thread that must have been and is not in the trace."""
    switches = trace.kinds["sched/sched_switch"]
    order = np.lexsort((switches["ts_ns"], switches["cpu"]))
    cpu, ts = switches["cpu"][order], switches["ts_ns"][order]
    left, came = switches["prev_pid"][order], switches["next_pid"][order]
    # Of a CPU's first switch nobody knows who should have been there. Thread 0 is a CPU's idle loop.
    unexpected = np.flatnonzero((cpu[1:] == cpu[:-1]) & (left[1:] != came[:-1]) & (left[1:] != 0)) + 1
    away = _latest(switches["prev_pid"], switches["ts_ns"], left[unexpected], ts[unexpected])
    there = _latest(switches["next_pid"], switches["ts_ns"], left[unexpected], ts[unexpected])
    # One that is known to run already was moved in a way that no switch tells.
    unexpected, away = unexpected[there <= away], away[there <= away]
    tids, until = left[unexpected], ts[unexpected]
    woken = trace.kinds["sched/sched_wakeup"]
    since = np.maximum(ts[unexpected - 1], np.maximum(away, _latest(woken["pid"], woken["ts_ns"], tids, until)))
    return tids, since, cpu[unexpected]


def _latest(owners: Array, moments: Array, tids: Array, before: Array) -> Array:
    """Per thread of `tids` its latest moment strictly before a time; 0 when there is none."""
    place = last_before(owners, moments, tids, before - 1)
    found: Array = np.where(place >= 0, moments[place] if len(moments) else 0, 0)
    return found
