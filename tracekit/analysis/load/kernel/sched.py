"""The kernel's context switches and wake-ups to the table `sched`: each thread's scheduling states over its lifetime.

A thread is runnable from its start. A switch to it makes it running; a switch away makes it runnable (preempted), disk
(uninterruptible sleep) or sleeping; a wake-up makes a sleeper runnable. So the states of a lifetime have no gaps and
sum to it. `running` is the scheduler's view: it includes time that a hypervisor stole. It begins with the event of the
switch; the thread's CPU clock and schedstat count from the scheduler's decision, which was up to 7 µs before where an
idle CPU of a virtual machine woke up.

On one CPU, each switch leads away from the thread that the previous switch led to. Some kernels, mostly of virtual
machines, do not record a switch where an idle CPU wakes up or where the host's agent gives a CPU back. Then a thread
leaves a CPU that no recorded switch led it to. The missing switch lies after the previous switch on that CPU, after the
thread left its previous CPU, and after it was woken. The latest of the three is taken, which is exact to some
microseconds where the CPU was idle. Where the wake-up is missing too, the thread slept for an unknown part of the time
that is shown as running: that the switch to sleep happened is what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.kernel.thread_events import (
    NO_END,
    Array,
    ThreadEvents,
    ThreadLifetimes,
    find_last_before,
    order_by_thread,
)
from tracekit.analysis.load.kernel.trace import KernelTrace
from tracekit.analysis.tables import COLUMNS, SCHED_STATES

RUNNING, RUNNABLE, _SLEEPING, _DISK = range(len(SCHED_STATES))
_WOKEN = len(SCHED_STATES)
_STATE_BITS = 0xFF
"""The bits of prev_state that are a state; the bit above means preempted (kernel: TASK_REPORT, sched.h)."""
_UNINTERRUPTIBLE = 0x02


@dataclass(frozen=True, slots=True)
class SchedIntervals:
    """The scheduling states of all threads as equally long int64 arrays, sorted by thread and start."""

    thread: Array
    """Index into ThreadLifetimes."""
    start_ns: Array
    dur_ns: Array
    state: Array
    """Index into SCHED_STATES."""
    cpu: Array
    """Valid for running only."""
    unseen: int
    """Of the times that these threads began to run, how many are not in the trace."""


def list_switches(trace: KernelTrace) -> list[tuple[Array, Array, Array | int, Array | int]]:
    """(thread id, ns, new state, CPU) of every switch: first the threads switched away from, then those switched to."""
    switches = trace.switches
    bits = switches["prev_state"] & _STATE_BITS
    away = np.where(bits == 0, RUNNABLE, np.where(bits & _UNINTERRUPTIBLE, _DISK, _SLEEPING))
    return [
        (switches["prev_pid"], switches["ts_ns"], away, switches["cpu"]),
        (switches["next_pid"], switches["ts_ns"], RUNNING, switches["cpu"]),
    ]


def _is_blocked(what: Array) -> Array:
    """Which of these states are waits for something other than a CPU."""
    found: Array = (what == _SLEEPING) | (what == _DISK)
    return found


def compute_intervals(trace: KernelTrace, lifetimes: ThreadLifetimes) -> SchedIntervals:
    """Compute the scheduling states of every thread of the run."""
    woken = trace.wakeups
    tids, came_ns, cpus = find_missed_switches(trace)
    events = order_by_thread(
        lifetimes,
        [
            (lifetimes.tid, lifetimes.born_ns, RUNNABLE, -1),
            *list_switches(trace),
            (woken["pid"], woken["ts_ns"], _WOKEN, woken["cpu"]),
            # Last, so that it follows a wake-up at the same moment.
            (tids, came_ns, RUNNING, cpus),
        ],
    )
    events = _drop_idle_wakeups(events)
    state = np.where(events.what == _WOKEN, RUNNABLE, events.what)
    ends = lifetimes.ended_ns[events.thread]
    last = np.ones(len(events), dtype=bool)
    last[:-1] = events.thread[1:] != events.thread[:-1]
    until = np.where(last, ends, np.roll(events.ts_ns, -1))
    # A thread whose end is not in the trace: nobody knows how long its last state lasted.
    chosen = (until > events.ts_ns) & (until < NO_END)
    kept = events.select(chosen)
    unseen = int(np.isin(tids, lifetimes.tid).sum())
    return SchedIntervals(kept.thread, kept.ts_ns, (until - events.ts_ns)[chosen], state[chosen], kept.value, unseen)


def _drop_idle_wakeups(events: ThreadEvents) -> ThreadEvents:
    """Leave out wake-ups of threads that are not asleep: they change nothing."""
    before = np.roll(events.what, 1)
    return events.select((events.what != _WOKEN) | (events.follows() & _is_blocked(before)))


def make_sched_table(found: SchedIntervals, lifetimes: ThreadLifetimes, run_id: str) -> pd.DataFrame:
    """The rows of the table `sched`, with categories for its text columns."""
    codes = found.state.astype(np.int8)
    columns: dict[str, Any] = {
        "run_id": pd.Categorical.from_codes(np.zeros(len(codes), dtype=np.int8), pd.Index([run_id], dtype="str")),
        "cpu": pd.arrays.IntegerArray(found.cpu.astype(np.int64), found.state != RUNNING),
        "pid": lifetimes.pid[found.thread],
        "tid": lifetimes.tid[found.thread],
        "state": pd.Categorical.from_codes(codes, pd.Index(list(SCHED_STATES), dtype="str")),
        "start_ns": found.start_ns,
        "dur_ns": found.dur_ns,
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS["sched"]}, copy=False)


@dataclass(frozen=True, slots=True)
class SchedSums:
    """Sums per thread, int64 arrays in the order of ThreadLifetimes."""

    running_ns: Array
    runnable_ns: Array
    voluntary: Array
    involuntary: Array


def sum_by_thread(found: SchedIntervals, lifetimes: ThreadLifetimes) -> SchedSums:
    """Sum per thread its time on a CPU and its run-queue wait, and count its context switches."""
    number = len(lifetimes.tid)

    def summed(state: int) -> Array:
        chosen = found.state == state
        sums = np.zeros(number, dtype=np.int64)
        np.add.at(sums, found.thread[chosen], found.dur_ns[chosen])
        return sums

    ran = found.state[:-1] == RUNNING
    same = found.thread[1:] == found.thread[:-1]
    after, thread = found.state[1:], found.thread[1:]
    return SchedSums(
        running_ns=summed(RUNNING),
        runnable_ns=summed(RUNNABLE),
        # A thread that goes to sleep has left a CPU, even where the switch to that CPU was not recorded.
        voluntary=np.bincount(thread[same & _is_blocked(after)], minlength=number),
        involuntary=np.bincount(thread[same & ran & (after == RUNNABLE)], minlength=number),
    )


def find_missed_switches(trace: KernelTrace) -> tuple[Array, Array, Array]:
    """(thread id, ns, CPU) of every switch that must have happened and is not in the trace; see the module's text."""
    switches = trace.switches
    order = np.lexsort((switches["ts_ns"], switches["cpu"]))
    cpu, ts = switches["cpu"][order], switches["ts_ns"][order]
    left, came = switches["prev_pid"][order], switches["next_pid"][order]
    # Which thread was on a CPU before its first switch is not known. Thread 0 is a CPU's idle loop.
    unexpected = np.flatnonzero((cpu[1:] == cpu[:-1]) & (left[1:] != came[:-1]) & (left[1:] != 0)) + 1
    away = _find_latest(switches["prev_pid"], switches["ts_ns"], left[unexpected], ts[unexpected])
    there = _find_latest(switches["next_pid"], switches["ts_ns"], left[unexpected], ts[unexpected])
    # A thread that is already running was moved to this CPU without a switch.
    unexpected, away = unexpected[there <= away], away[there <= away]
    tids, until = left[unexpected], ts[unexpected]
    woken = trace.wakeups
    # Not at the moment at which it left its CPU, where its wake-up is missing as well: it slept, if only for 1 ns.
    asleep = np.maximum(away + 1, _find_latest(woken["pid"], woken["ts_ns"], tids, until))
    since = np.maximum(ts[unexpected - 1], asleep)
    return tids, since, cpu[unexpected]


def _find_latest(owners: Array, events: Array, tids: Array, before: Array) -> Array:
    """For each of `tids`, the latest of its `events` strictly before the time in `before`; 0 without any."""
    place = find_last_before(owners, events, tids, before - 1)
    found: Array = np.where(place >= 0, events[place] if len(events) else 0, 0)
    return found
