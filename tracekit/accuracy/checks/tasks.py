"""Checks the metrics of a suite on a workload that knows its answers (known_workload.py).

Its warm-up run is untraced, and its other run is under the kernel capture: which of the two a metric is about the
metric itself says. The answers of a run have, per task, the worker's process id, its own stamps, how long it asked to
sleep, and when the worker's fork began and ended; when the last fork returned in the parent; the bytes and times of
pickling; and what the workload observed of itself.

On a busy machine each of these times may be longer by a wait for a CPU between two clocks that are read one after the
other: a difference that this explains is inconclusive, and is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracekit.accuracy.checks.switches import PLUS, SHARE
from tracekit.accuracy.comparison import MS, ComparedRun, Comparison, compute_wait_tolerance
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.outside_reader import OutsideReadings
from tracekit.accuracy.thread_sums import select_available
from tracekit.analysis.tables import Tables, records

CHECK = "tasks"
MOST_SHARE = 0.02
"""Of a share of stamps: two clocks are read within some 100 µs of one another at both ends of tasks of some 20 ms."""
MEMORY_SHARE, MEMORY_BYTES = 0.03, 500_000
"""The other reading is some 20 ms later, when the workers end: they still touch a page now and then."""
BYTES_SHARE = 0.005
"""The numbers in a parcel are some bytes longer or shorter than when it was sent."""
TICK_NS = 10 * MS
LEAVING_NS = 4 * MS
"""Beside its own time to end: told to, its records, and the end of the process until its parent has joined it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTasks:
    """What was recorded of the suite, and what its workload and others know of it.

    warmup, traced   the answers of both runs
    ends             worker's process id -> when it began and ended its own leaving, CLOCK_MONOTONIC ns
    """

    place: ComparedRun
    tables: Tables
    warmup: Mapping[str, Any]
    traced: Mapping[str, Any]
    ends: Mapping[int, tuple[int, int]]
    kernel: KernelReference
    readings: OutsideReadings = field(default_factory=OutsideReadings)

    def compare(
        self, metric: str, what: str, values: tuple[float, float], *, unit: str, tolerance: float, error: float = 0.0
    ) -> Comparison:
        """Compare a metric's value, the first, with the reference."""
        return self.place.compare_values(
            CHECK, what, values, unit=unit, tolerance=tolerance, error=error, metric=metric, reason=""
        )

    def compare_times(self, metric: str, what: str, values: tuple[float, float], *, more: float = 0.0) -> Comparison:
        """The same of times, ns; the tolerance is `more` than that of waits."""
        tolerance = compute_wait_tolerance(values[1]) + more
        return self.compare(metric, what, values, unit="ns", tolerance=tolerance, error=self.sum_delays())

    def find(self, metric: str, scope: str = "run") -> float | None:
        """The metric's first number of that scope; None where it has none."""
        rows = select_available(self.tables, metric, scope)
        return float(rows[0]["value"]) if rows else None

    def sum_delays(self) -> float:
        """What the traced run's threads waited for a CPU, and the machine's steal: on a quiet machine hardly any."""
        waits = [row["value"] for row in select_available(self.tables, "run_queue_wait_ns", "run")]
        return float(max(waits, default=0.0)) + float(self.place.steal_ns or 0)


def compare_known(run: KnownTasks) -> list[Comparison]:
    """The comparisons of all metrics of which the workload knows the number."""
    rows = [*_compare_starts(run), *_compare_tasks(run), *_compare_counts(run), *_compare_machine(run)]
    return [*rows, *_compare_pickling(run), *_compare_observed(run)]


def _compare_starts(run: KnownTasks) -> list[Comparison]:
    """A worker's start against its own stamps before and after its fork, its end against its own and the kernel's."""
    starts = {task["pid"]: task["forked"] for task in run.traced["tasks"]}
    lengths = [forked["after_ns"] - forked["before_ns"] for forked in starts.values()]
    rows = []
    found = run.find("spawn_first_instruction_ns")
    if found is not None:
        what = "from asking for a worker to its first instruction"
        rows.append(run.compare_times("spawn_first_instruction_ns", what, (found, float(np.median(lengths)))))
    first = next(
        (row["pid"] for row in records(run.tables.processes) if row["worker"] == 0 and row["pid"] in starts), None
    )
    found = run.find("spawn_first_worker_ns")
    if found is not None and first is not None:
        wanted = starts[first]["after_ns"] - starts[first]["before_ns"]
        rows.append(run.compare_times("spawn_first_worker_ns", "the same of the first", (found, float(wanted))))
    found = run.find("teardown_ns")
    left = [pid for pid in run.ends if pid in run.kernel.ended]
    if found is not None and left:
        wanted = max(run.kernel.ended[pid] for pid in left) - min(run.ends[pid][0] for pid in left)
        rows.append(run.compare_times("teardown_ns", "the end of all workers", (found, float(wanted)), more=LEAVING_NS))
    return rows


def _compare_tasks(run: KnownTasks) -> list[Comparison]:
    """Tasks against their own stamps and clocks."""
    by_worker: dict[int, list[dict[str, Any]]] = {}
    for task in run.traced["tasks"]:
        by_worker.setdefault(task["pid"], []).append(task)
    walls = {pid: sum(task["ended_ns"] - task["begun_ns"] for task in tasks) for pid, tasks in by_worker.items()}
    whole = sum(
        max(task["ended_ns"] for task in tasks) - min(task["begun_ns"] for task in tasks)
        for tasks in by_worker.values()
    )
    wanted = {
        "load_balance": sum(walls.values()) / len(walls) / max(walls.values()),
        "communication_share": 1 - sum(walls.values()) / whole,
    }
    rows = []
    for metric, share in wanted.items():
        found = run.find(metric)
        if found is not None:
            error = run.sum_delays() / whole
            values = found, share
            rows.append(run.compare(metric, metric, values, unit="share", tolerance=MOST_SHARE, error=error))
    # Workers are forked as tasks are submitted, and what follows the last fork takes no time.
    queued = float(np.median([task["begun_ns"] - run.traced["forked_ns"] for task in run.traced["tasks"]]))
    found = run.find("queue_wait_ns")
    if found is not None:
        rows.append(run.compare_times("queue_wait_ns", "from submit to the task", (found, queued)))
    asleep = {pid: sum(task["sleep_s"] for task in tasks) * 1e9 for pid, tasks in by_worker.items()}
    for row in select_available(run.tables, "thread_task_blocked_ns", "thread"):
        if row["pid"] == row["tid"] and row["pid"] in asleep:
            what = f"worker {row['pid']}, asleep in tasks"
            rows.append(run.compare_times("thread_task_blocked_ns", what, (row["value"], asleep[row["pid"]])))
    return rows


def _compare_counts(run: KnownTasks) -> list[Comparison]:
    """Timeslices of each worker against the kernel's switches: as often as it left its CPU it had been put on it, and
    once more."""
    read = {
        (row["pid"], row["tid"]): row["ts_ns"]
        for row in records(run.tables.counters)
        if row["counter"] == "timeslices" and row["at"] == "end"
    }
    workers = {task["pid"] for task in run.traced["tasks"]}
    rows = []
    for row in select_available(run.tables, "timeslices", "thread"):
        key = (row["pid"], row["tid"])
        if row["pid"] in workers and row["pid"] == row["tid"] and key in read:
            wanted = float(sum(run.kernel.count_switches(row["tid"], 0, read[key])) + 1)
            what = f"worker {row['pid']}, put on a CPU"
            tolerance = SHARE * wanted + PLUS
            rows.append(run.compare("timeslices", what, (row["value"], wanted), unit="count", tolerance=tolerance))
    return rows


def _compare_machine(run: KnownTasks) -> list[Comparison]:
    """Steal and memory against a reader outside."""
    rows = []
    traced = [row for row in records(run.tables.runs) if not row["warmup"]]
    found = run.find("steal_ns")
    if found is not None and traced:
        [window] = [(row["start_ns"], row["start_ns"] + row["wall_ns"]) for row in traced]
        stolen = run.readings.find_steal(*window)
        if stolen is not None:
            # Each of the two readings at each end lies up to a tick of every CPU beside the other one's.
            values = found, float(stolen)
            rows.append(run.compare("steal_ns", "the machine's steal", values, unit="ns", tolerance=2.0 * TICK_NS))
    for index, metric in enumerate(("uss_bytes", "pss_bytes")):
        found = run.find(metric, "cell")
        wanted = 0
        for row in records(run.tables.counters):
            if row["counter"] == metric and row["value"] is not None:
                sizes = run.readings.find_memory(row["pid"], row["ts_ns"])
                wanted += 0 if sizes is None else sizes[index]
        if found is not None:
            tolerance = max(MEMORY_SHARE * wanted, MEMORY_BYTES)
            rows.append(run.compare(metric, metric, (found, float(wanted)), unit="bytes", tolerance=tolerance))
    return rows


def _compare_pickling(run: KnownTasks) -> list[Comparison]:
    rows = []
    found, wanted = run.find("pickled_bytes", "cell"), float(run.warmup["pickled_bytes"])
    if found is not None:
        tolerance = BYTES_SHARE * wanted
        rows.append(run.compare("pickled_bytes", "bytes", (found, wanted), unit="bytes", tolerance=tolerance))
    found, wanted = run.find("pickling_ns", "cell"), float(run.warmup["pickling_ns"])
    if found is not None:
        rows.append(run.compare_times("pickling_ns", "time", (found, wanted)))
    return rows


def _compare_observed(run: KnownTasks) -> list[Comparison]:
    """What the workload observed of itself against its own file: the same numbers."""
    rows = []
    for name, value in run.traced["observed"].items():
        found = run.find(f"observed.{name}")
        rows.append(
            run.compare("observed", name, (-1.0 if found is None else found, float(value)), unit="", tolerance=0.0)
        )
    return rows
