"""The ledger of runs whose scheduling the kernel recorded: every ns of a thread is in one scheduling interval.

    running                         on-CPU, also inside a wait (a GIL waiter that wakes to ask, a read that copies)
    inside a wait, not running      that wait, also while it queues for a CPU: a thread that was called up to take the
                                    GIL and has no CPU yet still waits for the GIL
    runnable, in no wait            run queue
    blocked, in no wait             with the probe's waits: `disk` is I/O (a page fault, say), the rest unattributed;
                                    without them thread_task_blocked_ns, which nobody can name
    in no scheduling interval       unattributed

The kernel calls a thread running while the hypervisor has taken the CPU away. The thread's own clock does not, so
running - CPU time, at most the thread's share of what the machine lost, is steal and no on-CPU time.

Idle is what ledger_waits.py calls so; outside a task everything but GIL waits is idle, running included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Ints, covered, first_wins, gaps, ints
from tracekit.analysis.metrics.ledger.from_waits import OUTSIDE_TASKS, in_ledger, steal_budgets, wait_amounts
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
    lacking,
    shared_out,
)
from tracekit.analysis.metrics.ledger.tasks import Explained, explained
from tracekit.analysis.metrics.lifetimes import known
from tracekit.analysis.metrics.methods import KERNEL_SCHED
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import SeenWaits, seen_waits
from tracekit.analysis.tables import SCHED_STATES, Tables

_OUTSIDE = OUTSIDE_TASKS + ", running included"


class Scheduled(NamedTuple):
    """The scheduling intervals on the line, disjoint, by state; `cpus` by row of the intervals, -1 where not known."""

    running: Intervals
    runnable: Intervals
    sleeping: Intervals
    disk: Intervals
    cpus: Ints


def ledger_of_sched(tables: Tables, runs: frozenset[str], *, gil: bool, probe: bool) -> Ledger:
    """The ledger of these runs: of each thread that the kernel's record has. `gil`: GIL waits were seen; `probe`: so
    were all others.
    """
    found = seen_waits(tables)
    told = explained(tables, found)
    line, states = in_ledger(tables), scheduled(tables)
    amounts, gil_outside = wait_amounts(found, told, gaps(line, states.running))
    running = _inside(found, told, states.running)
    steal = _steal(tables, found, told, running)
    unnamed = _inside(found, told, gaps(states.sleeping, line))
    disk = _inside(found, told, gaps(states.disk, line))
    aside = _of_suites_main(found, told)
    life = found.lanes.lengths
    parts = {part: amounts[part] for part in WAIT_PARTS}
    parts[GIL] = parts[GIL] + gil_outside
    parts[ON_CPU], parts[STEAL] = running - steal, steal
    parts[RUN_QUEUE] = _inside(found, told, gaps(states.runnable, line))
    parts[IDLE] = amounts[IDLE] + life - told.length - gil_outside + np.where(aside, unnamed + disk, 0)
    if probe:
        parts[IO] = parts[IO] + np.where(aside, 0, disk)
    else:
        parts[BLOCKED] = np.where(aside, 0, unnamed + disk)
        parts = {part: values for part, values in parts.items() if part not in _NEEDS_PROBE}
    parts[UNATTRIBUTED] = life - sum(parts.values(), start=np.zeros(len(life), np.int64))
    parts[WALL] = life
    if not gil:
        del parts[GIL]
    recorded = found.lanes.sums(states.running.starts, states.running.lengths) > 0
    in_runs = found.threads["run_id"].isin(runs).to_numpy(bool)
    usable = in_runs & known(found.threads) & recorded & ~found.threads["native"].to_numpy(bool)
    program = bool(found.threads.loc[usable, "program"].any())
    return Ledger(
        runs=runs,
        threads=found.threads[usable],
        lacking=lacking(found.threads, usable | ~in_runs),
        parts={part: values[usable] for part, values in parts.items()},
        methods=dict.fromkeys(parts, KERNEL_SCHED),
        reasons={IDLE: RULE if program else _OUTSIDE, BLOCKED: "blocked calls are told apart by capture waits only"},
    )


_NEEDS_PROBE = (LOCK, IO, POLL, SLEEP, CHILD)


@once
def scheduled(tables: Tables) -> Scheduled:
    """The table `sched` on the lanes of `seen_waits`."""
    lanes = seen_waits(tables).lanes
    sched = tables.sched[tables.sched["start_ns"].notna() & tables.sched["dur_ns"].notna()].reset_index(drop=True)
    starts = ints(sched["start_ns"])
    line = first_wins(lanes.lay(sched, starts, starts + ints(sched["dur_ns"])))
    running, runnable, sleeping, disk = (
        line.chosen((sched["state"] == state).to_numpy(bool)[line.rows]) for state in SCHED_STATES
    )
    return Scheduled(running, runnable, sleeping, disk, ints(sched["cpu"].fillna(-1)))


def _inside(found: SeenWaits, told: Explained, pieces: Intervals) -> Ints:
    """Per lane: how much of the pieces lies in the part to be explained."""
    lengths = covered(pieces.starts, pieces.ends, told.tasks)
    lengths = np.where(told.whole[found.lanes.lanes_at(pieces.starts)], pieces.lengths, lengths)
    return found.lanes.sums(pieces.starts, lengths)


def _steal(tables: Tables, found: SeenWaits, told: Explained, running: Ints) -> Ints:
    """Per lane: what of its running was no CPU time."""
    rest = np.where(told.cpu < 0, 0, np.maximum(running - told.cpu, 0))
    groups = np.unique(found.threads["run_id"].to_numpy(str), return_inverse=True)[1]
    return shared_out(rest, steal_budgets(tables, found), groups)


def _of_suites_main(found: SeenWaits, told: Explained) -> Bools:
    """Threads of suites that have no tasks: what they wait for is the workers."""
    threads = found.threads
    aside: Bools = told.whole & ~threads["program"].to_numpy(bool) & ~threads["counts"].to_numpy(bool)
    return aside
