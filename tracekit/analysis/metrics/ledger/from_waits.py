"""The ledger of runs whose waits were seen, or of which at least the CPU time of every thread is known.

    life = on-CPU + GIL + lock + I/O + poll + sleep + child + run queue + steal + idle + unattributed

1. Waits are wall intervals and stand first. Of two that overlap the one that began first has the common part. A GIL
   wait and the wait in drop_gil after a forced switch are both GIL wait.
2. On-CPU is the thread's own clock. Waits hold a little of it: a GIL waiter wakes every 5 ms to ask, and a read that
   copies 100 MB is on a CPU inside the call. Where waits and CPU time together exceed what there is, the waits are cut
   until they fit: I/O first, then poll, child, sleep, idle, lock, and the GIL last.
3. What is left was run-queue wait as far as the kernel counted any for this thread. (It counts over the whole life and
   also inside waits, so this is the most it can be.)
4. What is still left was steal as far as the machine lost any in the run window; the threads share it by what they
   have left. The rest is unattributed; it is negative where the CPU clock alone exceeds the life.

Idle, in a suite: whatever lies outside tasks and is no GIL wait, CPU time there included. In a program: the waits that
idle.py names. In a thread of a suite that has no tasks (main, the executor's): its waits for anything but the GIL.

Where nobody saw the waits (a program recorded without `waits` and `kernel`) what is left after step 3 is
thread_task_blocked_ns: it may have been anything.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.counter_changes import machine_changes
from tracekit.analysis.metrics.interval_timeline import Intervals, Ints, covered, first_wins
from tracekit.analysis.metrics.ledger.idle import RULE, idle_waits
from tracekit.analysis.metrics.ledger.parts import (
    BLOCKED,
    CHILD,
    GIL,
    IDLE,
    IO,
    LOCK,
    ON_CPU,
    PART_OF_KIND,
    POLL,
    RUN_QUEUE,
    SLEEP,
    STEAL,
    UNATTRIBUTED,
    WAIT_PARTS,
    WALL,
    Ledger,
    fitted,
    lacking,
    shared_out,
)
from tracekit.analysis.metrics.ledger.tasks import Explained, explained
from tracekit.analysis.metrics.lifetimes import known
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import GIL as GIL_KIND
from tracekit.analysis.metrics.recorded_waits import SeenWaits, seen_waits, watchers
from tracekit.analysis.tables import Tables

CUT_ORDER = (IO, POLL, CHILD, SLEEP, IDLE, LOCK, GIL)
OUTSIDE_TASKS = "idle: outside tasks, but for GIL waits"
_AT_MOST = "at most: some of it may lie inside waits or outside tasks"
_COUNTED = "schedstat"
_METHODS_SEEN = dict.fromkeys((*WAIT_PARTS, ON_CPU, IDLE, UNATTRIBUTED, WALL), WAITS_PROBE) | {
    RUN_QUEUE: f"{WAITS_PROBE}, schedstat",
    STEAL: f"{WAITS_PROBE}, /proc/stat",
}
_METHODS_COUNTED = dict.fromkeys((ON_CPU, BLOCKED, RUN_QUEUE, UNATTRIBUTED, WALL), _COUNTED)


def ledger_of_waits(tables: Tables, runs: frozenset[str], *, seen: bool) -> Ledger:
    """The ledger of these runs: of each thread whose life and CPU time are known. `seen`: whether somebody saw their
    waits.
    """
    found = seen_waits(tables)
    told = explained(tables, found)
    amounts, gil_outside = wait_amounts(found, told, in_ledger(tables))
    room = np.maximum(told.length - told.cpu, 0)
    amounts = fitted(amounts, room, CUT_ORDER)
    rest = room - sum(amounts.values(), start=np.zeros(len(room), np.int64))
    queue = np.minimum(rest, np.maximum(told.queue, 0))
    read = np.minimum(told.gap, rest - queue)
    rest = rest - queue - read
    life = found.lanes.lengths
    parts = {part: amounts[part] for part in WAIT_PARTS} | {ON_CPU: told.cpu, RUN_QUEUE: queue}
    parts[GIL] = parts[GIL] + gil_outside
    parts[IDLE] = amounts[IDLE] + life - told.length - gil_outside + read
    in_runs = found.threads["run_id"].isin(runs).to_numpy(bool)
    usable = in_runs & known(found.threads) & (told.cpu >= 0) & ~found.threads["native"].to_numpy(bool)
    budgets = steal_budgets(tables, found)
    if seen:
        groups = np.unique(found.threads["run_id"].to_numpy(str), return_inverse=True)[1]
        parts[STEAL] = shared_out(np.where(usable, rest, 0), budgets, groups)
    else:
        parts[BLOCKED] = rest
    parts[UNATTRIBUTED] = life - sum(parts.values(), start=np.zeros(len(life), np.int64))
    parts[WALL] = life
    ends = _ends(parts, told, np.maximum(rest, 0), budgets, seen=seen)
    program = bool(found.threads.loc[usable, "program"].any())
    if not seen:
        parts = {part: values for part, values in parts.items() if part not in (*WAIT_PARTS, IDLE)}
    return Ledger(
        runs=runs,
        threads=found.threads[usable],
        lacking=lacking(found.threads, usable | ~in_runs),
        parts={part: values[usable] for part, values in parts.items()},
        ends={part: (low[usable], high[usable]) for part, (low, high) in ends.items()},
        methods=_METHODS_SEEN if seen else _METHODS_COUNTED,
        reasons={
            IDLE: RULE if program else OUTSIDE_TASKS,
            RUN_QUEUE: _AT_MOST,
            BLOCKED: "GIL wait, I/O, locks, sleep, idleness or steal: not told apart without capture waits",
        },
    )


def _ends(
    parts: dict[str, Ints], told: Explained, rest: Ints, budgets: Ints, *, seen: bool
) -> dict[str, tuple[Ints, Ints]]:
    """Lower and upper ends of what is only bounded; `rest` is what the run-queue wait left."""
    nothing = np.zeros(len(rest), np.int64)
    queue = parts[RUN_QUEUE]
    most_queue = np.where(told.queue < 0, rest, queue)
    if not seen:
        return {RUN_QUEUE: (nothing, most_queue), BLOCKED: (nothing, rest + queue)}
    # What steal cannot explain was the run queue, where both were counted.
    least = np.where((told.queue < 0) | (budgets < 0), 0, np.clip(queue + rest - budgets, 0, queue))
    most_steal = np.where(budgets < 0, rest, np.maximum(np.minimum(rest, budgets), parts[STEAL]))
    return {RUN_QUEUE: (least, most_queue), STEAL: (nothing, most_steal)}


@once
def in_ledger(tables: Tables) -> Intervals:
    """The waits that stand in a ledger, disjoint: GIL waits by the run's best watcher, all others by the probe."""
    found = seen_waits(tables)
    watching = watchers(tables)
    best = {run_id: methods[0] for run_id, methods in watching.items()}
    others = {run_id: methods[-1] for run_id, methods in watching.items()}
    codes, runs = pd.factorize(found.waits["run_id"])
    of_gil = (found.waits["kind"] == GIL_KIND).to_numpy(bool)
    chosen = np.zeros(len(codes), np.bool_)
    for method in {*best.values(), *others.values()}:
        by_method = (found.waits["method"] == method).to_numpy(bool)
        for wanted, kinds in ((best, of_gil), (others, ~of_gil)):
            among = np.array([wanted.get(run) == method for run in runs] + [False], dtype=np.bool_)[codes]
            chosen |= by_method & kinds & among
    return first_wins(found.line.chosen(chosen[found.line.rows]))


def wait_amounts(found: SeenWaits, told: Explained, line: Intervals) -> tuple[dict[str, Ints], Ints]:
    """Per lane: these waits in the part to be explained, and those for the GIL outside it."""
    parts = _part_of_rows(found)[line.rows]
    idle, counted = idle_and_not(found, told, line)
    amounts = {IDLE: found.lanes.sums(line.starts, idle)}
    for number, part in enumerate(WAIT_PARTS):
        amounts[part] = found.lanes.sums(line.starts[parts == number], counted[parts == number])
    of_gil = parts == WAIT_PARTS.index(GIL)
    return amounts, found.lanes.sums(line.starts, np.where(of_gil, line.lengths - counted, 0))


def idle_and_not(found: SeenWaits, told: Explained, line: Intervals) -> tuple[Ints, Ints]:
    """Of each of these waits: what of it is idle, and what is not, in the part to be explained."""
    lanes = found.lanes.lanes_at(line.starts)
    program = found.threads["program"].to_numpy(bool)[lanes]
    inside = covered(line.starts, line.ends, told.tasks)
    # In a thread whose whole life is explained a wait lies inside; in one of a suite it is idle outside its tasks.
    idle = np.where(idle_waits(found.waits)[line.rows], line.lengths, 0)
    idle = np.where(program, idle, np.where(told.whole[lanes], line.lengths - inside, 0))
    idle = np.where(_part_of_rows(found)[line.rows] == WAIT_PARTS.index(GIL), 0, idle)
    return idle, np.where(told.whole[lanes], line.lengths - idle, inside)


def _part_of_rows(found: SeenWaits) -> Ints:
    """The place in WAIT_PARTS of each row of the table; -1 for a kind that is no wait."""
    codes, kinds = pd.factorize(found.waits["kind"])
    numbers = [WAIT_PARTS.index(PART_OF_KIND[kind]) if kind in PART_OF_KIND else -1 for kind in kinds]
    parts: Ints = np.array([*numbers, -1], dtype=np.int64)[codes]
    return parts


def steal_budgets(tables: Tables, found: SeenWaits) -> Ints:
    """Per lane: what the machine lost during the run; -1 where that was not read."""
    changed = machine_changes(tables, "steal_ns").dropna(subset="value")
    by_run = dict(zip(changed["run_id"].tolist(), changed["value"].tolist(), strict=True))
    budgets = [int(by_run.get(run_id, -1)) for run_id in found.threads["run_id"].tolist()]
    return np.array(budgets, dtype=np.int64)
