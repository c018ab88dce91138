"""The kernel's switches and wake-ups to the table `sched`: what each thread was doing at each moment of its life.

A thread is runnable from its birth; a switch to it makes it running, a switch away runnable (preempted), disk
(uninterruptible) or sleeping; a wake-up makes a sleeper runnable. So the states of a life have no gap between them and
sum to it. `running` is what the scheduler saw: time that a hypervisor stole meanwhile is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.kernel.missed_switches import missed_switches
from tracekit.analysis.load.kernel.thread_events import FOR_EVER, Array, Lives, Moments, along
from tracekit.analysis.load.kernel.trace import Trace
from tracekit.analysis.tables import COLUMNS, SCHED_STATES

RUNNING, RUNNABLE, _SLEEPING, _DISK = range(len(SCHED_STATES))
_WOKEN = len(SCHED_STATES)
_STATE_BITS = 0xFF
"""The bits of prev_state that are a state; the one above says that the thread was preempted (TASK_REPORT)."""
_UNINTERRUPTIBLE = 0x02


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the threads did, by life and time: `state` is a place in SCHED_STATES, `cpu` holds for running."""

    life: Array
    start_ns: Array
    dur_ns: Array
    state: Array
    cpu: Array


def switch_moments(trace: Trace) -> list[tuple[Array, Array, Array | int, Array | int]]:
    """(thread, time, new state, CPU) of every switch, each of which has two sides."""
    switches = trace.kinds["sched/sched_switch"]
    bits = switches["prev_state"] & _STATE_BITS
    away = np.where(bits == 0, RUNNABLE, np.where(bits & _UNINTERRUPTIBLE, _DISK, _SLEEPING))
    return [
        (switches["prev_pid"], switches["ts_ns"], away, switches["cpu"]),
        (switches["next_pid"], switches["ts_ns"], RUNNING, switches["cpu"]),
    ]


def _blocked(what: Array) -> Array:
    """Which of these states a thread has when it waits for something other than a CPU."""
    found: Array = (what == _SLEEPING) | (what == _DISK)
    return found


def intervals(trace: Trace, lives: Lives) -> Intervals:
    """The states of every thread of the run, one after the other."""
    woken = trace.kinds["sched/sched_wakeup"]
    tids, came_ns, cpus = missed_switches(trace)
    moments = along(
        lives,
        [
            (lives.tid, lives.born_ns, RUNNABLE, -1),
            *switch_moments(trace),
            (woken["pid"], woken["ts_ns"], _WOKEN, woken["cpu"]),
            # Last: at the same moment it follows the wake-up.
            (tids, came_ns, RUNNING, cpus),
        ],
    )
    moments = _without_idle_wakes(moments)
    state = np.where(moments.what == _WOKEN, RUNNABLE, moments.what)
    ends = lives.ended_ns[moments.life]
    last = np.ones(len(moments), dtype=bool)
    last[:-1] = moments.life[1:] != moments.life[:-1]
    until = np.where(last, ends, np.roll(moments.ts_ns, -1))
    # How long the last state of a thread lasted that was not seen to end is not known.
    chosen = (until > moments.ts_ns) & (until < FOR_EVER)
    kept = moments.only(chosen)
    return Intervals(kept.life, kept.ts_ns, (until - moments.ts_ns)[chosen], state[chosen], kept.value)


def _without_idle_wakes(moments: Moments) -> Moments:
    """A wake-up of a thread that is not asleep changes nothing."""
    before = np.roll(moments.what, 1)
    return moments.only((moments.what != _WOKEN) | (moments.follows() & _blocked(before)))


def sched_frame(found: Intervals, lives: Lives, run_id: str) -> pd.DataFrame:
    """The table `sched`."""
    codes = found.state.astype(np.int8)
    columns: dict[str, Any] = {
        "run_id": pd.Categorical.from_codes(np.zeros(len(codes), dtype=np.int8), pd.Index([run_id], dtype="str")),
        "cpu": pd.arrays.IntegerArray(found.cpu.astype(np.int64), found.state != RUNNING),
        "pid": lives.pid[found.life],
        "tid": lives.tid[found.life],
        "state": pd.Categorical.from_codes(codes, pd.Index(list(SCHED_STATES), dtype="str")),
        "start_ns": found.start_ns,
        "dur_ns": found.dur_ns,
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS["sched"]}, copy=False)


@dataclass(frozen=True, slots=True)
class Totals:
    """Per life, in the order of Lives."""

    running_ns: Array
    runnable_ns: Array
    voluntary: Array
    involuntary: Array


def totals(found: Intervals, lives: Lives) -> Totals:
    """How long each thread ran and waited for a CPU, and how often it gave one up by itself or had to."""
    number = len(lives.tid)

    def summed(state: int) -> Array:
        chosen = found.state == state
        sums = np.zeros(number, dtype=np.int64)
        np.add.at(sums, found.life[chosen], found.dur_ns[chosen])
        return sums

    ran = found.state[:-1] == RUNNING
    same = found.life[1:] == found.life[:-1]
    after, life = found.state[1:], found.life[1:]
    return Totals(
        running_ns=summed(RUNNING),
        runnable_ns=summed(RUNNABLE),
        # Who goes to sleep has left a CPU, also where the kernel did not record that it came to it.
        voluntary=np.bincount(life[same & _blocked(after)], minlength=number),
        involuntary=np.bincount(life[same & ran & (after == RUNNABLE)], minlength=number),
    )
