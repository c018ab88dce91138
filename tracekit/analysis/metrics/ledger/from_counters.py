"""The ledger of a suite's runs that nobody watched: where the time of worker threads went, as far as counters tell.

The whole (thread_wall_ns) is the life of every worker thread inside the run window: from the request that
started it to its end, or to the end of the window. A worker process counts with its main thread, serial with
the main thread over the whole window. Threads of the executor and of libraries are not in it. Each life is
cut into

    thread_on_cpu_ns         in a task, on a CPU                  CPU time of the task
    thread_run_queue_ns      in a task, ready, waiting for a CPU  schedstat's delay, at most what is left
    thread_task_blocked_ns   in a task, neither of the two        task wall - on-CPU - run queue - our readings
    thread_idle_ns           outside tasks: starting up, waiting for work, our readings at the ends of tasks
                             (CPU spent there included)
    unattributed_ns          the rest; not 0 only where clocks disagree, and then it may be negative

which add up by construction. The run-queue delay is counted over the thread's whole life, so some of it may
belong outside tasks: the part shown is the most it can be in tasks, and thread_task_blocked_ns is a bound
from that, less our readings once more, to all of task wall - on-CPU; gil_wait.py says what these readings
are. In it are GIL wait and steal, and for tasks that block by themselves
also I/O, locks and sleep: `reason` says so, the parts cannot be told apart here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import cells, is_program, usable_runs
from tracekit.analysis.metrics.estimate import Estimate, bound, measured, unavailable
from tracekit.analysis.metrics.gil.wait_bound import PURE_KINDS
from tracekit.analysis.metrics.ledger.parts import BLOCKED, IDLE, ON_CPU, RUN_QUEUE, UNATTRIBUTED, WALL
from tracekit.analysis.metrics.lifetimes import KEYS, lives
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.rows import Place
from tracekit.analysis.metrics.task_time import task_time
from tracekit.analysis.tables import Tables, records

_TOLD = (WALL, ON_CPU, RUN_QUEUE, BLOCKED, IDLE, UNATTRIBUTED)


class _Parts(NamedTuple):
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


@once
def accounted(tables: Tables, part: str) -> dict[Place, Estimate]:
    """One part of each thread, process and run of a suite; runs without a worker thread are not in it.

    Nothing for a part that counters do not tell.
    """
    if part not in _TOLD:
        return {}
    runs = {run["run_id"]: run for run in usable_runs(tables) if not is_program(run)}
    groups: dict[Place, list[_Parts | None]] = {}
    threads = [thread for thread in records(_lives(tables)) if thread["run_id"] in runs]
    untold = _without_queue(tables, threads)
    for thread in threads:
        place = (thread["run_id"], thread["pid"], thread["tid"])
        parts = _cut({**thread, "queue": None} if thread["run_id"] in untold else thread)
        for key in (place, place[:2], place[:1]):
            groups.setdefault(key, []).append(parts)
    return {place: _estimate(part, parts, runs[place[0]]["kind"] or "") for place, parts in groups.items()}


def _without_queue(tables: Tables, threads: list[dict[str, Any]]) -> set[str]:
    """Runs whose run queue is not told apart. Where one run of a cell lacks it, of a thread that was gone too early, no
    other has it either: means over different runs would not add up to that of the whole.
    """
    lacking = {thread["run_id"] for thread in threads if thread["tasks"] is not None and thread["queue"] is None}
    of_cells = (set(cell.runs) for cell in cells(tables, lambda _run: True))
    return {run_id for runs in of_cells if runs & lacking for run_id in runs}


@once
def _lives(tables: Tables) -> pd.DataFrame:
    """Worker threads with `life` ns inside the run window, and their task times."""
    threads = lives(tables)
    threads = threads[threads["counts"] & ~threads["program"]]
    threads = threads.assign(life=threads["died"] - threads["born"])
    return threads[[*KEYS, "life"]].merge(task_time(tables), on=KEYS, how="left")


def _cut(thread: dict[str, Any]) -> _Parts | None:
    """The parts of one thread; None when its life or the CPU time of its tasks is not known."""
    if thread["life"] is None:
        return None
    life = float(thread["life"])
    if thread["tasks"] is None:
        return _Parts(life, 0.0, 0.0, 0.0, 0.0, 0.0, max(0.0, life))
    if thread["cpu"] is None or thread["overlap"]:
        return None
    wall, cpu, queue = thread["wall"], thread["cpu"], thread["queue"]
    waited = max(0.0, wall - cpu)
    queued = None if queue is None else min(queue, waited)
    left = waited - (queued or 0.0)
    read = min(thread["gap"], left)
    least = max(0.0, left - 2 * thread["gap"])
    return _Parts(life, cpu, queued, left - read, least, waited, max(0.0, life - wall) + read)


def _estimate(part: str, threads: list[_Parts | None], kind: str) -> Estimate:
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
    waits = "GIL wait or steal" if kind in PURE_KINDS else "GIL wait, I/O, locks, sleep or steal: not told apart here"
    return waits if queued else f"{waits}; run-queue wait as well"
