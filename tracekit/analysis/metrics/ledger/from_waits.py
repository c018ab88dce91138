"""The ledger of runs whose waits were recorded, or of which at least the CPU time of every thread is known.

    lifetime = on-CPU + GIL + lock + I/O + poll + sleep + child + run queue + steal + idle + unattributed

1. Waits are wall intervals and come first. Of two that overlap the one that began first has the common part. A GIL
   wait and the wait in drop_gil after a forced switch are both GIL wait.
2. On-CPU is the thread's own clock. Waits contain a little of it: a GIL waiter wakes every 5 ms to request the GIL, and
   a read that copies 100 MB is on a CPU inside the call. Where waits and CPU time together exceed what there is, the
   waits are cut until they fit: I/O first, then poll, child, sleep, idle, lock, and the GIL last.
3. What is left was run-queue wait as far as the kernel counted any for this thread. (It counts over the whole life and
   also inside waits, so this is the most it can be.)
4. What is still left was steal as far as the machine lost any in the run window; the threads share it in proportion to
   what they have left. The rest is unattributed; it is negative where the CPU clock alone exceeds the lifetime.

A thread that was killed may have used more CPU time than its last reading says, and waited longer for a CPU: at most
all the time since then. Those parts are bounds, and what is not known is unattributed.

Idle, in a suite: the time outside tasks that is no GIL wait, CPU time there included. In a program: the waits that
idle.py lists. In a thread of a suite that has no tasks (main, the executor's): its waits for anything but the GIL. In a
native thread of a program (BLAS, OpenMP): waits for locks, polls, and what step 3 leaves, since such a pool sleeps in
futex calls that nothing but the kernel sees.

Where the waits were not recorded (a program recorded without `waits` and `kernel`) what is left after step 3 is
thread_task_blocked_ns: it may have been any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import Intervals, Ints, make_disjoint, measure_overlap
from tracekit.analysis.metrics.ledger.accountable import AccountableTime
from tracekit.analysis.metrics.ledger.idle import RULE, idle_waits, rests_in_pool
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
    find_lacking,
    fit_into,
    join_blocked,
    share_out,
)
from tracekit.analysis.metrics.lifetimes import can_have_ledgers
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.recorded_intervals import GIL as GIL_KIND
from tracekit.analysis.metrics.recorded_intervals import GIL_SWITCH, RecordedWaits
from tracekit.analysis.metrics.switches.by_thread import KILLED
from tracekit.bundle.waits_file import QUEUE_AGE_NS

CUT_ORDER = (IO, POLL, CHILD, SLEEP, IDLE, LOCK, GIL)
OUTSIDE_TASKS = "idle: outside tasks, but for GIL waits"
_AT_MOST = "at most: some of it may lie inside waits or outside tasks"
JOINED = "waits and idleness: not separated, as functions are not known"
_COUNTED = "schedstat"
_METHODS_OF_WAITS = dict.fromkeys((*WAIT_PARTS, ON_CPU, BLOCKED, IDLE, UNATTRIBUTED, WALL), WAITS_PROBE) | {
    RUN_QUEUE: f"{WAITS_PROBE}, schedstat",
    STEAL: f"{WAITS_PROBE}, /proc/stat",
}
_METHODS_OF_COUNTERS = dict.fromkeys((ON_CPU, BLOCKED, RUN_QUEUE, UNATTRIBUTED, WALL), _COUNTED)


class LedgerInput(NamedTuple):
    """What ledgers are made from, of all threads.

    recorded   the lifetimes, their timeline and the waits
    time       which time to account for
    waits      the waits that stand in a ledger, disjoint
    steal      per thread: ns that the machine lost during its run (int64), -1 where that was not read
    """

    recorded: RecordedWaits
    time: AccountableTime
    waits: Intervals
    steal: Ints


def build_from_waits(given: LedgerInput, runs: frozenset[str], *, probe: bool, functions: bool) -> Ledger:
    """The ledger of these runs: of each thread whose lifetime and CPU time are known. `probe`: their waits were
    recorded; `functions`: and the functions of programs.
    """
    threads, timeline, time = given.recorded.threads, given.recorded.timeline, given.time
    amounts, gil_outside = sum_ledger_waits(given, given.waits)
    room = np.maximum(time.length - time.cpu, 0)
    amounts = fit_into(amounts, room, CUT_ORDER)
    left = room - sum(amounts.values(), start=np.zeros(len(room), np.int64))
    more = np.where(time.whole, np.clip(threads["more_ns"].to_numpy(np.int64), 0, left), 0)
    rest = left - more
    queue = np.minimum(rest, np.maximum(time.queue, 0))
    read = np.minimum(time.gap, rest - queue)
    rest = rest - queue - read
    life = timeline.lengths
    parts = {part: amounts[part] for part in WAIT_PARTS} | {ON_CPU: time.cpu + more, RUN_QUEUE: queue}
    parts[GIL] = parts[GIL] + gil_outside
    parts[IDLE] = amounts[IDLE] + life - time.length - gil_outside + read
    in_runs = threads["run_id"].isin(runs).to_numpy(bool)
    usable = in_runs & can_have_ledgers(threads) & (time.cpu >= 0)
    if probe:
        pool = threads["pool"].to_numpy(bool)
        parts[IDLE] = parts[IDLE] + np.where(pool, rest, 0)
        rest = np.where(pool, 0, rest)
        parts[STEAL] = share_out(
            np.where(usable, np.maximum(rest - time.unread, 0), 0), given.steal, number_runs(threads)
        )
    else:
        parts[BLOCKED] = rest
    parts[UNATTRIBUTED] = life - sum(parts.values(), start=np.zeros(len(life), np.int64))
    parts[WALL] = life
    ends = _ends(parts, time, np.maximum(rest, 0) + more, given.steal, probe=probe)
    if killed := bool(time.unread[usable].any()):
        ends |= _widen_unread(parts, ends, time, left, more)
    program = bool(threads.loc[usable, "program"].any())
    if not probe:
        parts = {part: values for part, values in parts.items() if part not in (*WAIT_PARTS, IDLE)}
    elif not functions:
        parts = join_blocked(parts)
    return Ledger(
        runs=runs,
        threads=threads[usable],
        lacking=find_lacking(threads, usable | ~in_runs),
        parts={part: values[usable] for part, values in parts.items()},
        ends={part: (low[usable], high[usable]) for part, (low, high) in ends.items()},
        methods=_METHODS_OF_WAITS if probe else _METHODS_OF_COUNTERS,
        reasons={
            IDLE: RULE if program else OUTSIDE_TASKS,
            RUN_QUEUE: _AT_MOST,
            **({ON_CPU: KILLED, UNATTRIBUTED: KILLED} if killed else {}),
            BLOCKED: JOINED
            if probe
            else "GIL wait, I/O, locks, sleep, idleness or steal: not separated without capture waits",
        },
    )


def number_runs(threads: pd.DataFrame) -> Ints:
    """Per thread: a number of its run."""
    numbers: Ints = np.unique(threads["run_id"].to_numpy(str), return_inverse=True)[1]
    return numbers


def _ends(
    parts: dict[str, Ints], time: AccountableTime, rest: Ints, budgets: Ints, *, probe: bool
) -> dict[str, tuple[Ints, Ints]]:
    """Lower and upper ends of the parts that are bounds; `rest` is what the run-queue wait left."""
    nothing = np.zeros(len(rest), np.int64)
    queue = parts[RUN_QUEUE]
    most_queue = np.where(time.queue < 0, rest, queue)
    if not probe:
        return {RUN_QUEUE: (nothing, most_queue), BLOCKED: (nothing, rest + queue)}
    # What steal cannot explain was the run queue, where both were counted.
    least = np.where((time.queue < 0) | (budgets < 0), 0, np.clip(queue + rest - budgets, 0, queue))
    most_steal = np.where(budgets < 0, rest, np.maximum(np.minimum(rest, budgets), parts[STEAL]))
    return {RUN_QUEUE: (least, most_queue), STEAL: (nothing, most_steal)}


def _widen_unread(
    parts: dict[str, Ints], ends: dict[str, tuple[Ints, Ints]], time: AccountableTime, left: Ints, more: Ints
) -> dict[str, tuple[Ints, Ints]]:
    """The ends of the parts that may have some of a thread's time after its last reading.

    `left` is what waits and the least CPU time leave, `more` the part of it that was on a CPU as well, as is likely.
    The first reading of the run-queue wait is the older one.
    """
    queue, unread = parts[RUN_QUEUE], time.unread
    low, high = ends[RUN_QUEUE]
    late = np.where(unread > 0, np.minimum(left - queue, unread + QUEUE_AGE_NS), 0)
    return {
        ON_CPU: (time.cpu, time.cpu + np.minimum(unread, left)),
        RUN_QUEUE: (np.maximum(low - unread, 0), np.maximum(high, queue + late)),
        UNATTRIBUTED: (
            parts[UNATTRIBUTED] - np.minimum(late, np.maximum(parts[UNATTRIBUTED], 0)),
            parts[UNATTRIBUTED] + more,
        ),
    }


def select_ledger_waits(recorded: RecordedWaits, wait_methods: Mapping[str, Sequence[str]]) -> Intervals:
    """The waits that stand in a ledger, disjoint: those for the GIL and after a forced switch by the best method of the
    run, all others by the probe.

    `wait_methods`: per run the methods that recorded its waits, the best first.
    """
    best = {run_id: methods[0] for run_id, methods in wait_methods.items()}
    others = {run_id: methods[-1] for run_id, methods in wait_methods.items()}
    codes, runs = pd.factorize(recorded.waits["run_id"])
    of_gil = recorded.waits["kind"].isin([GIL_KIND, GIL_SWITCH]).to_numpy(bool)
    chosen = np.zeros(len(codes), np.bool_)
    for method in {*best.values(), *others.values()}:
        by_method = (recorded.waits["method"] == method).to_numpy(bool)
        for wanted, kinds in ((best, of_gil), (others, ~of_gil)):
            among = np.array([wanted.get(run) == method for run in runs] + [False], dtype=np.bool_)[codes]
            chosen |= by_method & kinds & among
    return make_disjoint(recorded.line.select(chosen[recorded.line.rows]))


def sum_ledger_waits(given: LedgerInput, line: Intervals) -> tuple[dict[str, Ints], Ints]:
    """Per thread: these waits by part within the time to account for, and those for the GIL outside it."""
    timeline = given.recorded.timeline
    parts = _part_of_rows(given.recorded)[line.rows]
    idle, counted = split_idle(given.recorded, given.time, line)
    amounts = {IDLE: timeline.sum_by_lane(line.starts, idle)}
    for number, part in enumerate(WAIT_PARTS):
        amounts[part] = timeline.sum_by_lane(line.starts[parts == number], counted[parts == number])
    of_gil = parts == WAIT_PARTS.index(GIL)
    return amounts, timeline.sum_by_lane(line.starts, np.where(of_gil, line.lengths - counted, 0))


def split_idle(recorded: RecordedWaits, time: AccountableTime, line: Intervals) -> tuple[Ints, Ints]:
    """Per wait: its ns that are idle, and those that are not, within the time to account for."""
    lanes = recorded.timeline.find_lanes(line.starts)
    program, pool = (recorded.threads[name].to_numpy(bool)[lanes] for name in ("program", "pool"))
    inside = measure_overlap(line.starts, line.ends, time.tasks)
    # In a thread whose whole lifetime is accounted for a wait lies inside; in one of a suite it is idle outside tasks.
    resting = idle_waits(recorded.waits)[line.rows] | (pool & rests_in_pool(recorded.waits)[line.rows])
    idle = np.where(resting, line.lengths, 0)
    idle = np.where(program, idle, np.where(time.whole[lanes], line.lengths - inside, 0))
    idle = np.where(_part_of_rows(recorded)[line.rows] == WAIT_PARTS.index(GIL), 0, idle)
    return idle, np.where(time.whole[lanes], line.lengths - idle, inside)


def _part_of_rows(recorded: RecordedWaits) -> Ints:
    """The place in WAIT_PARTS of each row of the table `waits`; -1 for a kind that is no wait."""
    codes, kinds = pd.factorize(recorded.waits["kind"])
    numbers = [WAIT_PARTS.index(PART_OF_KIND[kind]) if kind in PART_OF_KIND else -1 for kind in kinds]
    parts: Ints = np.array([*numbers, -1], dtype=np.int64)[codes]
    return parts


def find_steal_budgets(threads: pd.DataFrame, steal: pd.DataFrame) -> Ints:
    """Per thread: ns that the machine lost during its run; -1 where that was not read."""
    changed = steal.dropna(subset="value")
    by_run = dict(zip(changed["run_id"].tolist(), changed["value"].tolist(), strict=True))
    return np.array([int(by_run.get(run_id, -1)) for run_id in threads["run_id"].tolist()], dtype=np.int64)
