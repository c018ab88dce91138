"""Waiting for a CPU: ready to run, and no CPU free.

Linux counts both per thread in /proc/<pid>/task/<tid>/schedstat: nanoseconds of run-queue delay, and how
often the thread was put on a CPU. They are summed over the threads that were alive when the counters were
read, at the end of the run window in the main process and at the end of life in a worker.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from tracekit.metrics.cells import records
from tracekit.metrics.estimate import Estimate, measured, unavailable
from tracekit.metrics.metric import LINUX, Metric
from tracekit.metrics.per_process import totals
from tracekit.metrics.readings import changes
from tracekit.metrics.rows import Place, from_runs
from tracekit.tables import Tables

_MISSING = "the system counts no run-queue delay per thread here"
_METHOD = "schedstat"


def compute(counter: str, unit: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    threads = changes(tables, counter, "thread")
    summed = threads.groupby(["run_id", "pid"])["value"].sum(min_count=1).reset_index()
    runs, processes = totals(tables, summed, missing=_MISSING, method=_METHOD)
    places: dict[Place, Estimate] = {
        (row["run_id"], row["pid"], row["tid"]): unavailable("the thread was gone before its last reading")
        if row["value"] is None
        else measured(row["value"], _METHOD)
        for row in records(threads)
    }
    return from_runs(tables, counter, unit, runs, places={**processes, **places})


WAIT = Metric(
    name="run_queue_wait_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes"),
    valid_on=LINUX,
    summary="How long ready threads waited for a CPU.",
    method="schedstat's run-queue delay, summed over threads. Cell: median, bootstrap interval.",
    compute=partial(compute, "run_queue_wait_ns", "ns"),
)
TIMESLICES = Metric(
    name="timeslices",
    unit="count",
    better="neither",
    needs=("counters", "processes"),
    valid_on=LINUX,
    summary="How often a thread was put on a CPU.",
    method="schedstat's count of timeslices, summed over threads. Cell: median, bootstrap interval.",
    compute=partial(compute, "timeslices", "count"),
)
