"""The ledger of runs whose scheduling the kernel recorded: every ns of a thread is in one scheduling interval.

    running                         on-CPU, also inside a wait (a GIL waiter that wakes, a read that copies)
    inside a wait, not running      that wait, also while it queues for a CPU: a thread that was woken to take the
                                    GIL and has no CPU yet still waits for the GIL
    runnable, in no wait            run queue
    blocked, in no wait             with the probe's waits: `disk` is I/O (a page fault, say), the rest unattributed;
                                    without them thread_task_blocked_ns, since the cause is not known
    in no scheduling interval       unattributed

The kernel calls a thread running while the hypervisor has taken the CPU away. The thread's own clock does not, so
running - CPU time, at most the thread's share of what the machine lost, is steal and no on-CPU time.

Idle is what from_waits.py counts as idle; outside a task everything but GIL waits is idle, running included.
"""

from __future__ import annotations

import numpy as np

from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Ints, measure_overlap, subtract
from tracekit.analysis.metrics.ledger.from_waits import (
    JOINED,
    OUTSIDE_TASKS,
    LedgerInput,
    number_runs,
    sum_ledger_waits,
)
from tracekit.analysis.metrics.ledger.idle import RULE
from tracekit.analysis.metrics.ledger.parts import (
    BLOCKED,
    CHILD,
    GIL,
    IDLE,
    IO,
    LOCK,
    ON_CPU,
    POLL,
    RUN_QUEUE,
    SLEEP,
    STEAL,
    UNATTRIBUTED,
    WAIT_PARTS,
    WALL,
    Ledger,
    find_lacking,
    join_blocked,
    share_out,
)
from tracekit.analysis.metrics.lifetimes import can_have_ledgers
from tracekit.analysis.metrics.methods import KERNEL_SCHED
from tracekit.analysis.metrics.recorded_intervals import SchedStates, find_recorded

_OUTSIDE = OUTSIDE_TASKS + ", running included"
_ONLY_WAITS = "blocked calls are separated by capture waits only"
_WITH_STEAL = "with what the hypervisor stole meanwhile: that was not read"
_NEEDS_PROBE = (LOCK, IO, POLL, SLEEP, CHILD)


def build_from_sched(
    given: LedgerInput, states: SchedStates, runs: frozenset[str], *, gil: bool, probe: bool, functions: bool
) -> Ledger:
    """The ledger of these runs: of each thread in the kernel's record. `gil`: GIL waits were recorded; `probe`: so were
    all others; `functions`: and the functions of programs.
    """
    threads, timeline, time, line = given.recorded.threads, given.recorded.timeline, given.time, given.waits
    amounts, gil_outside = sum_ledger_waits(given, subtract(line, states.running))
    running = _sum_inside(given, states.running)
    steal = _steal(given, running)
    unnamed = _sum_inside(given, subtract(states.sleeping, line))
    disk = _sum_inside(given, subtract(states.disk, line))
    aside = _without_tasks_in_suites(given)
    life = timeline.lengths
    in_runs = threads["run_id"].isin(runs).to_numpy(bool)
    parts = {part: amounts[part] for part in WAIT_PARTS}
    parts[GIL] = parts[GIL] + gil_outside
    parts[ON_CPU], parts[STEAL] = running - steal, steal
    parts[RUN_QUEUE] = _sum_inside(given, subtract(states.runnable, line))
    parts[IDLE] = amounts[IDLE] + life - time.length - gil_outside + np.where(aside, unnamed + disk, 0)
    parts[IDLE] = parts[IDLE] + np.where(threads["pool"].to_numpy(bool), unnamed, 0)
    if probe:
        parts[IO] = parts[IO] + np.where(aside, 0, disk)
    else:
        parts[BLOCKED] = np.where(aside, 0, unnamed + disk)
        parts = {part: values for part, values in parts.items() if part not in _NEEDS_PROBE}
    program = bool(threads.loc[in_runs, "program"].any())
    if not probe and program:
        # Without calls there is nothing that a program could be seen to wait for.
        del parts[IDLE]
    elif not functions:
        parts = join_blocked(parts)
    parts[UNATTRIBUTED] = life - sum(parts.values(), start=np.zeros(len(life), np.int64))
    parts[WALL] = life
    if not gil:
        del parts[GIL]
    reasons = {IDLE: RULE if program else _OUTSIDE, BLOCKED: JOINED if probe else _ONLY_WAITS}
    if (given.steal[in_runs] < 0).all():
        parts[ON_CPU] = parts[ON_CPU] + parts.pop(STEAL)
        reasons[ON_CPU] = _WITH_STEAL
    recorded = find_recorded(timeline, states)
    usable = in_runs & can_have_ledgers(threads) & recorded
    return Ledger(
        runs=runs,
        threads=threads[usable],
        lacking=find_lacking(threads, usable | ~in_runs),
        parts={part: values[usable] for part, values in parts.items()},
        methods=dict.fromkeys(parts, KERNEL_SCHED),
        reasons=reasons,
    )


def _sum_inside(given: LedgerInput, pieces: Intervals) -> Ints:
    """Per thread: ns of these intervals within the time to account for."""
    timeline, time = given.recorded.timeline, given.time
    lengths = measure_overlap(pieces.starts, pieces.ends, time.tasks)
    lengths = np.where(time.whole[timeline.find_lanes(pieces.starts)], pieces.lengths, lengths)
    return timeline.sum_by_lane(pieces.starts, lengths)


def _steal(given: LedgerInput, running: Ints) -> Ints:
    """Per thread: ns of its running that were no CPU time."""
    cpu = given.time.cpu
    rest = np.where(cpu < 0, 0, np.maximum(running - cpu - given.time.unread, 0))
    return share_out(rest, given.steal, number_runs(given.recorded.threads))


def _without_tasks_in_suites(given: LedgerInput) -> Bools:
    """Threads of suites that have no tasks: what they wait for is the workers."""
    threads = given.recorded.threads
    aside: Bools = given.time.whole & ~threads["program"].to_numpy(bool) & ~threads["counts"].to_numpy(bool)
    return aside
