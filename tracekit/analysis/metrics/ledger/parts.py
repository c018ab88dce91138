"""A ledger: the lifetimes of threads, cut into named parts that add up to them exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, Place, unavailable
from tracekit.analysis.metrics.interval_timeline import Bools, Ints
from tracekit.analysis.metrics.thread_sums import sum_bounds, sum_threads

WALL = "thread_wall_ns"
ON_CPU = "thread_on_cpu_ns"
GIL = "thread_gil_wait_ns"
LOCK = "thread_lock_wait_ns"
IO = "thread_io_wait_ns"
POLL = "thread_poll_ns"
SLEEP = "thread_sleep_ns"
CHILD = "thread_child_wait_ns"
RUN_QUEUE = "thread_run_queue_ns"
STEAL = "thread_steal_ns"
BLOCKED = "thread_task_blocked_ns"
IDLE = "thread_idle_ns"
UNATTRIBUTED = "unattributed_ns"

PARTS = (ON_CPU, GIL, LOCK, IO, POLL, SLEEP, CHILD, RUN_QUEUE, STEAL, BLOCKED, IDLE, UNATTRIBUTED)
"""What WALL is the sum of. A part that is unavailable is in none of the others but UNATTRIBUTED or BLOCKED."""

WAIT_PARTS = (GIL, LOCK, IO, POLL, SLEEP, CHILD)
PART_OF_KIND = {
    "gil": GIL,
    "gil-switch": GIL,
    "lock": LOCK,
    "io-read": IO,
    "io-write": IO,
    "poll": POLL,
    "sleep": SLEEP,
    "child-wait": CHILD,
}
"""Kind of a wait -> the part that it belongs to."""
BY_FUNCTION = (LOCK, IO, POLL, SLEEP, CHILD, IDLE)
"""The parts that the functions of a program's waits tell apart. Where these could not be read, BLOCKED has them all."""

_LACKS = unavailable("the life or the CPU time of a worker thread is not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger of the threads of some runs.

    threads   rows of the lifetimes table
    parts     part -> ns per thread (int64), in the order of the rows
    methods   part -> how it was computed
    ends      part -> lower and upper end per thread (int64), of the parts that are bounds
    reasons   part -> a remark on it
    """

    runs: frozenset[str]
    threads: pd.DataFrame
    parts: dict[str, Ints]
    methods: dict[str, str]
    ends: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    lacking: frozenset[Place] = frozenset()
    """Runs and processes that lack a thread that counts, because its life or CPU time is not known."""

    def sum_part(self, part: str) -> dict[Place, Estimate]:
        """One part of every thread, process and run; nothing for a part that this ledger does not have."""
        if part not in self.parts:
            return {}
        values, method, reason = self.parts[part], self.methods[part], self.reasons.get(part)
        if part in self.ends:
            lower, upper = self.ends[part]
            found = sum_bounds(self.threads, (lower, values, upper), method, reason=reason)
            if part in (ON_CPU, UNATTRIBUTED):
                # A bound because of a thread that was killed: of the others it is as exact as ever.
                found = {place: _as_measured(item) for place, item in found.items()}
        else:
            found = sum_threads(self.threads, values, np.ones(len(values), np.int64), method, reason=reason)
        # A sum that silently lacks a worker would be wrong. Of a program the known threads are all there is: a process
        # that was killed leaves some whose CPU time nobody read.
        return found | dict.fromkeys(self.lacking, _LACKS)


def _as_measured(item: Estimate) -> Estimate:
    """The same as measured, where its bounds are one number."""
    return replace(item, quality="measured", reason=None) if item.lower == item.upper else item


def find_lacking(threads: pd.DataFrame, usable: Bools) -> frozenset[Place]:
    """Processes and runs of suites whose sums lack a thread, because it is not `usable`."""
    missing = threads[~usable & threads["counts"].to_numpy(bool) & ~threads["program"].to_numpy(bool)]
    pairs = list(zip(missing["run_id"].tolist(), missing["pid"].tolist(), strict=True))
    return frozenset(pairs) | frozenset((run_id,) for run_id, _ in pairs)


def join_blocked(parts: dict[str, Ints]) -> dict[str, Ints]:
    """The parts with those of BY_FUNCTION as one, BLOCKED."""
    joined = sum((parts[part] for part in BY_FUNCTION), start=np.zeros(len(parts[IDLE]), np.int64))
    return {part: values for part, values in parts.items() if part not in BY_FUNCTION} | {BLOCKED: joined}


def share_out(rests: Ints, budgets: Ints, groups: Ints) -> Ints:
    """Each row's share of the budget of its group: its whole rest where the budget is enough, else in proportion.

    Three int64 arrays with one number per row; budgets are equal within a group. The shares are integers that never
    exceed a rest nor, added up, a budget.
    """
    given = np.zeros(len(rests), np.int64)
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        wanted = rests[rows]
        total = int(wanted.sum())
        budget = max(0, int(budgets[rows[0]]))
        if total <= budget:
            given[rows] = wanted
            continue
        # Shares of the running total: each is rounded down and none of the budget is lost on the way.
        running = 0
        before = 0
        for row, want in zip(rows.tolist(), wanted.tolist(), strict=True):
            running += want
            after = running * budget // total
            given[row] = after - before
            before = after
    return given


def fit_into(amounts: dict[str, Ints], room: Ints, order: tuple[str, ...]) -> dict[str, Ints]:
    """The amounts (part -> ns per row), cut in this order until their sum fits into the room, which is at least 0."""
    over = np.maximum(sum(amounts.values(), start=np.zeros(len(room), np.int64)) - room, 0)
    left = dict(amounts)
    for part in order:
        cut = np.minimum(left[part], over)
        left[part] = left[part] - cut
        over = over - cut
    return left
