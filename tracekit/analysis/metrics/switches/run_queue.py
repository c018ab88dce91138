"""run_queue_wait_ns, timeslices: how long ready threads waited for a CPU, and how often they got one.

Linux counts both per thread in /proc/<pid>/task/<tid>/schedstat: nanoseconds of run-queue delay, and how
often the thread was put on a CPU. They are summed over the threads that were alive when the counters were
read, at the end of the run window in the main process and at the end of life in a worker. Where the kernel recorded
every scheduling interval (kernel-sched) the delay is the sum of the runnable ones, and where the wait probe read a
thread's own schedstat at its end that has a row as well; both are over all threads of the run.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, Place, measured, unavailable
from tracekit.analysis.metrics.methods import KERNEL_SCHED
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.switches.by_thread import have_sched
from tracekit.analysis.metrics.thread_sums import join_methods, sum_threads
from tracekit.analysis.tables import records

_MISSING = "the system counts no run-queue delay per thread here"
_METHOD = "schedstat"


def compute(counter: str, unit: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell, one per method."""
    threads = analysis.counter_changes(counter, "thread")
    sums = threads.groupby(["run_id", "pid"])["value"].sum(min_count=1).reset_index()
    runs, processes = total_processes(analysis.measured_processes, sums, missing=_MISSING, method=_METHOD)
    places: dict[Place, Estimate] = {
        (row["run_id"], row["pid"], row["tid"]): unavailable("the thread was gone before its last reading")
        if row["value"] is None
        else measured(row["value"], _METHOD)
        for row in records(threads)
    }
    counted: dict[Place, Estimate] = {(run_id,): estimate for run_id, estimate in runs.items()}
    recorded = (_sum_runnable(analysis), analysis.thread_end_sums(counter)) if counter == WAIT.name else ()
    return rows_of_methods(analysis, counter, unit, join_methods(*recorded, counted, processes, places))


def _sum_runnable(analysis: Analysis) -> dict[Place, Estimate]:
    """Runnable time of each thread in the kernel's scheduling record, and of processes and runs; also before its first
    instruction, for which a new thread may have to wait longest."""
    waits = analysis.recorded_waits
    there = have_sched(waits, analysis.sched_states)
    timeline, runnable = analysis.runnable_since_creation
    waited = timeline.sum_by_lane(runnable.starts, runnable.lengths)
    times = timeline.count_by_lane(runnable.starts)
    return sum_threads(waits.threads[there], waited[there], times[there], KERNEL_SCHED, every=True)


WAIT = Metric(
    name="run_queue_wait_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes", "sched", "threads"),
    valid_on=LINUX,
    summary="How long ready threads waited for a CPU.",
    method=(
        "kernel-sched: runnable intervals, from creation or wake-up to switch; the kernel counts to its decision to "
        "switch, on a virtual machine up to 7 µs before. schedstat's run-queue delay, summed over threads (at most, "
        "where threads sleep: Linux 6.18 now and then counts a whole sleep as such a wait), "
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
