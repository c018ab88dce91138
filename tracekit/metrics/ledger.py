"""Where the time of the worker threads went: parts of one whole, for a picture stacked to 100 %.

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

Pooled by the mean of the runs, because means of parts add up to the mean of the whole and medians do not.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from tracekit.metrics.cells import SERIAL, records, usable_runs
from tracekit.metrics.estimate import Estimate, bound, measured, pooled_mean, unavailable
from tracekit.metrics.gil_wait import PURE_KINDS
from tracekit.metrics.metric import EVERYWHERE, LINUX, Metric
from tracekit.metrics.rows import Place, from_runs
from tracekit.metrics.task_time import KEYS, task_time
from tracekit.tables import Tables


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


def compute(part: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, run and cell of one part."""
    runs = {run["run_id"]: run for run in usable_runs(tables)}
    by_run: dict[str, list[tuple[Place, _Parts | None]]] = {}
    for thread in records(_lives(tables)):
        if thread["run_id"] in runs:
            place = (thread["run_id"], thread["pid"], thread["tid"])
            by_run.setdefault(thread["run_id"], []).append((place, _cut(thread)))
    places: dict[Place, Estimate] = {}
    estimates: dict[str, Estimate] = {}
    for run_id, threads in by_run.items():
        kind = runs[run_id]["kind"] or ""
        places.update({place: _estimate(part, [parts], kind) for place, parts in threads})
        estimates[run_id] = _estimate(part, [parts for _, parts in threads], kind)
    missing = unavailable("no worker thread was recorded")
    return from_runs(tables, part, "ns", estimates, places=places, pool=pooled_mean, missing=lambda _run: missing)


def thread_walls(tables: Tables) -> dict[str, float | None]:
    """Per run with worker threads: the whole of which the parts are parts, None when a thread's life is not
    known.
    """
    walls: dict[str, float | None] = {}
    for thread in records(_lives(tables)):
        before = walls.get(thread["run_id"], 0.0)
        walls[thread["run_id"]] = None if before is None or thread["life"] is None else before + thread["life"]
    return walls


def _lives(tables: Tables) -> pd.DataFrame:
    """Worker threads with `life` ns inside the run window, and their task times."""
    window = tables.runs[["run_id", "model", "start_ns", "wall_ns"]].rename(columns={"start_ns": "opens"})
    threads = tables.threads.merge(window, on="run_id")
    alone = (threads["model"] == SERIAL) & (threads["role"] == "main")
    threads = threads[alone | (threads["role"] == "worker")]
    closes = threads["opens"] + threads["wall_ns"]
    serial = threads["model"] == SERIAL
    born = threads["spawn_requested_ns"].fillna(threads["start_ns"]).where(~serial, threads["opens"])
    died = threads["end_ns"].where(~serial, closes)
    # A stamp that was not taken stays missing, and with it the thread's whole life.
    born = born.where(born.isna() | (born >= threads["opens"]), threads["opens"])
    died = died.where(died.isna() | (died <= closes), closes)
    threads = threads.assign(life=died - born)
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
    if part == "thread_run_queue_ns":
        if not queued:
            return unavailable("the system counts no run-queue delay per thread here")
        most = sum(parts.queue or 0.0 for parts in known)
        return bound(0.0, most, most, method, n=count, reason="at most: some of it may lie outside tasks")
    if part == "thread_task_blocked_ns":
        value, most = sum(parts.blocked for parts in known), sum(parts.most_blocked for parts in known)
        least = sum(parts.least_blocked for parts in known) if queued else 0.0
        return bound(least, value, most, method, n=count, reason=_what_blocks(kind, queued))
    values = {
        "thread_wall_ns": sum(parts.wall for parts in known),
        "thread_on_cpu_ns": sum(parts.on_cpu for parts in known),
        "thread_idle_ns": sum(parts.idle for parts in known),
        "unattributed_ns": sum(parts.unattributed for parts in known),
    }
    return measured(values[part], "thread clock" if part == "thread_on_cpu_ns" else "stamps", n=count)


def _what_blocks(kind: str, queued: bool) -> str:
    waits = "GIL wait or steal" if kind in PURE_KINDS else "GIL wait, I/O, locks, sleep or steal: not told apart here"
    return waits if queued else f"{waits}; run-queue wait as well"


def _metric(name: str, summary: str, method: str, *, better: str = "neither", valid_on: str = EVERYWHERE) -> Metric:
    return Metric(
        name=name,
        unit="ns",
        better=better,
        needs=("threads", "spans", "counters"),
        valid_on=valid_on,
        summary=summary,
        method=f"{method} Sum over worker threads; cell: mean of the runs, so that parts add up.",
        compute=partial(compute, name),
    )


WALL = _metric(
    "thread_wall_ns",
    "All time of the worker threads in the run window.",
    "From a worker's request to its end.",
)
ON_CPU = _metric("thread_on_cpu_ns", "Worker threads: in a task and on a CPU.", "CPU time of the tasks.")
RUN_QUEUE = _metric(
    "thread_run_queue_ns",
    "Worker threads: in a task, ready, waiting for a CPU.",
    "schedstat's delay of the thread, at most task wall - task CPU.",
    better="lower",
    valid_on=LINUX,
)
BLOCKED = _metric(
    "thread_task_blocked_ns",
    "Worker threads: in a task, neither on a CPU nor waiting for one.",
    "Task wall - task CPU - run-queue wait - our own readings; lower end: less the readings once more; upper end: "
    "task wall - task CPU.",
    better="lower",
)
IDLE = _metric(
    "thread_idle_ns",
    "Worker threads: starting up or waiting for work.",
    "Life of the thread - its task spans + our own readings at their ends.",
)
UNATTRIBUTED = _metric(
    "unattributed_ns", "What the clocks leave over of the parts; may be negative.", "Whole - the parts."
)
