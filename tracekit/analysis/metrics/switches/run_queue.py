"""Waiting for a CPU: ready to run, and no CPU free.

Linux counts both per thread in /proc/<pid>/task/<tid>/schedstat: nanoseconds of run-queue delay, and how
often the thread was put on a CPU. They are summed over the threads that were alive when the counters were
read, at the end of the run window in the main process and at the end of life in a worker. Where the kernel recorded
every scheduling interval (kernel-sched) the delay is the sum of the runnable ones, and where the wait probe read a
thread's own schedstat at its end that has a row as well; both are over all threads of the run.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.counter_changes import changes
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.ledger.from_sched import scheduled
from tracekit.analysis.metrics.methods import KERNEL_SCHED, WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.process_totals import totals
from tracekit.analysis.metrics.recorded_waits import seen_waits, watched_by
from tracekit.analysis.metrics.rows import Place, from_methods
from tracekit.analysis.metrics.thread_sums import joined, summed
from tracekit.analysis.tables import Tables, records

_MISSING = "the system counts no run-queue delay per thread here"
_METHOD = "schedstat"


def compute(counter: str, unit: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell, one per method."""
    threads = changes(tables, counter, "thread")
    summed = threads.groupby(["run_id", "pid"])["value"].sum(min_count=1).reset_index()
    runs, processes = totals(tables, summed, missing=_MISSING, method=_METHOD)
    places: dict[Place, Estimate] = {
        (row["run_id"], row["pid"], row["tid"]): unavailable("the thread was gone before its last reading")
        if row["value"] is None
        else measured(row["value"], _METHOD)
        for row in records(threads)
    }
    counted: dict[Place, Estimate] = {(run_id,): estimate for run_id, estimate in runs.items()}
    seen = (by_kernel(tables), by_threads(tables)) if counter == WAIT.name else ()
    return from_methods(tables, counter, unit, joined(*seen, counted, processes, places))


def by_kernel(tables: Tables) -> dict[Place, Estimate]:
    """Runnable time of each thread that the kernel's record has, and of processes and runs."""
    found, states = seen_waits(tables), scheduled(tables)
    there = found.lanes.sums(states.running.starts, states.running.lengths) > 0
    waited = found.lanes.sums(states.runnable.starts, states.runnable.lengths)
    times = found.lanes.sums(states.runnable.starts, np.ones(len(states.runnable.starts), np.int64))
    return summed(found.threads[there], waited[there], times[there], KERNEL_SCHED, every=True)


def by_threads(tables: Tables) -> dict[Place, Estimate]:
    """schedstat's delay as the wait probe read it at each thread's end; of processes and runs of which all have it."""
    threads = seen_waits(tables).threads
    known = threads["run_queue_wait_ns"].notna().to_numpy(bool)
    there = known & watched_by(tables, threads, WAITS_PROBE)
    delays = threads["run_queue_wait_ns"].fillna(0).to_numpy(np.int64)
    ones = np.ones(len(delays), np.int64)
    numbers = summed(threads[there], delays[there], ones[there], f"{WAITS_PROBE}, thread ends", every=True)
    lacking = threads[~known]
    short = set(zip(lacking["run_id"], lacking["pid"], strict=True)) | {(run_id,) for run_id in lacking["run_id"]}
    return {place: item for place, item in numbers.items() if place not in short}


WAIT = Metric(
    name="run_queue_wait_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes", "sched", "threads"),
    valid_on=LINUX,
    summary="How long ready threads waited for a CPU.",
    method=(
        "kernel-sched: runnable intervals. schedstat's run-queue delay, summed over threads, "
        "or as the wait probe read it at thread ends. Cell: median per method, bootstrap interval."
    ),
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
