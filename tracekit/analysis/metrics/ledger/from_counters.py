"""The ledger of a suite's runs without light captures: where the time of worker threads went, by counters alone.

The whole (thread_wall_ns) is the lifetime of every worker thread inside the run window: from the request that
started it to its end, or to the end of the window. A worker process counts with its main thread, serial with
the main thread over the whole window. Threads of the executor and of libraries are not in it. Each lifetime is
cut into

    thread_on_cpu_ns         in a task, on a CPU                  CPU time of the task
    thread_run_queue_ns      in a task, ready, waiting for a CPU  schedstat's delay, at most what is left
    thread_task_blocked_ns   in a task, neither of the two        task wall - on-CPU - run queue - our readings
    thread_idle_ns           outside tasks: starting up, waiting for work, our readings at the ends of tasks
                             (CPU spent there included)
    unattributed_ns          the rest; not 0 only where clocks disagree, and then it may be negative

which add up by construction. The run-queue delay is counted over the thread's whole life, so some of it may
belong outside tasks: the part shown is the most it can be in tasks, and thread_task_blocked_ns is a bound
from that, less our readings once more, to all of task wall - on-CPU; gil/wait_bound.py explains these readings.
It contains GIL wait and steal, and for tasks that block by themselves also I/O, locks and sleep, which counters do not
separate: `reason` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import CellRuns, is_program
from tracekit.analysis.metrics.estimate import Estimate, Place, bound, measured, unavailable
from tracekit.analysis.metrics.gil.wait_bound import PURE_KINDS
from tracekit.analysis.metrics.ledger.parts import BLOCKED, IDLE, ON_CPU, RUN_QUEUE, UNATTRIBUTED, WALL
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.tables import records

_COUNTED = (WALL, ON_CPU, RUN_QUEUE, BLOCKED, IDLE, UNATTRIBUTED)


class ThreadParts(NamedTuple):
    """One thread's time in ns. `queue` is None where the system does not count it."""

    wall: float
    on_cpu: float
    queue: float | None
    blocked: float
    least_blocked: float
    most_blocked: float
    idle: float

    @property
    def unattributed(self) -> float:
        return self.wall - self.on_cpu - (self.queue or 0.0) - self.blocked - self.idle


class CountedLedger(NamedTuple):
    """The parts of each thread of a suite, of each process and run; None for a thread whose times are not known.

    kinds   run id -> kind of its workload
    """

    parts: Mapping[Place, Sequence[ThreadParts | None]]
    kinds: Mapping[str, str]

    def sum_part(self, part: str) -> dict[Place, Estimate]:
        """One part of each place; nothing for a part that counters do not give."""
        if part not in _COUNTED:
            return {}
        return {place: _estimate(part, parts, self.kinds[place[0]]) for place, parts in self.parts.items()}


def build_from_counters(
    usable_runs: Iterable[Mapping[str, Any]],
    cells: Iterable[CellRuns],
    lifetimes: pd.DataFrame,
    task_time: pd.DataFrame,
) -> CountedLedger:
    """The ledger of all runs of suites; runs without a worker thread are not in it. `cells` are those of all runs."""
    kinds = {run["run_id"]: run["kind"] or "" for run in usable_runs if not is_program(run)}
    threads = lifetimes[lifetimes["counts"] & ~lifetimes["program"]]
    threads = threads.assign(life=threads["died"] - threads["born"])
    workers = threads[[*KEYS, "life"]].merge(task_time, on=KEYS, how="left")
    rows = [thread for thread in records(workers) if thread["run_id"] in kinds]
    without = _runs_without_queue(cells, rows)
    groups: dict[Place, list[ThreadParts | None]] = {}
    for thread in rows:
        place = (thread["run_id"], thread["pid"], thread["tid"])
        parts = _cut({**thread, "queue": None} if thread["run_id"] in without else thread)
        for key in (place, place[:2], place[:1]):
            groups.setdefault(key, []).append(parts)
    return CountedLedger(groups, kinds)


def _runs_without_queue(cells: Iterable[CellRuns], threads: Iterable[Mapping[str, Any]]) -> set[str]:
    """Runs of which the run-queue wait is no part. Where one run of a cell lacks that of a thread that was gone too
    early, no other run has it either: means over different runs would not add up to that of the whole.
    """
    lacking = {thread["run_id"] for thread in threads if thread["tasks"] is not None and thread["queue"] is None}
    of_cells = (set(cell.runs) for cell in cells)
    return {run_id for runs in of_cells if runs & lacking for run_id in runs}


def _cut(thread: dict[str, Any]) -> ThreadParts | None:
    """The parts of one thread; None when its lifetime or the CPU time of its tasks is not known."""
    if thread["life"] is None:
        return None
    life = float(thread["life"])
    if thread["tasks"] is None:
        return ThreadParts(life, 0.0, 0.0, 0.0, 0.0, 0.0, max(0.0, life))
    if thread["cpu"] is None or thread["overlap"]:
        return None
    wall, cpu, queue = thread["wall"], thread["cpu"], thread["queue"]
    waited = max(0.0, wall - cpu)
    queued = None if queue is None else min(queue, waited)
    left = waited - (queued or 0.0)
    read = min(thread["gap"], left)
    least = max(0.0, left - 2 * thread["gap"])
    return ThreadParts(life, cpu, queued, left - read, least, waited, max(0.0, life - wall) + read)


def _estimate(part: str, threads: Sequence[ThreadParts | None], kind: str) -> Estimate:
    known = [parts for parts in threads if parts is not None]
    count = len(known)
    if not known or count < len(threads):
        return unavailable("the CPU time of a thread's tasks is not known")
    queued = all(parts.queue is not None for parts in known)
    method = "schedstat" if queued else "portable"
    if part == RUN_QUEUE:
        if not queued:
            return unavailable("the system counts no run-queue delay per thread here")
        most = sum(parts.queue or 0.0 for parts in known)
        return bound(0.0, most, most, method, n=count, reason="at most: some of it may lie outside tasks")
    if part == BLOCKED:
        value, most = sum(parts.blocked for parts in known), sum(parts.most_blocked for parts in known)
        least = sum(parts.least_blocked for parts in known) if queued else 0.0
        return bound(least, value, most, method, n=count, reason=_what_blocks(kind, queued))
    values = {
        WALL: sum(parts.wall for parts in known),
        ON_CPU: sum(parts.on_cpu for parts in known),
        IDLE: sum(parts.idle for parts in known),
        UNATTRIBUTED: sum(parts.unattributed for parts in known),
    }
    return measured(values[part], "thread clock" if part == ON_CPU else "stamps", n=count)


def _what_blocks(kind: str, queued: bool) -> str:
    waits = "GIL wait or steal" if kind in PURE_KINDS else "GIL wait, I/O, locks, sleep or steal: not separated here"
    return waits if queued else f"{waits}; run-queue wait as well"
