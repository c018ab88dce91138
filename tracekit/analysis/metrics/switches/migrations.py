"""cpu_migrations: how often a thread continued on another CPU than before.

Two consecutive running intervals of a thread on different CPUs are one migration. Each costs warm caches. Only the
kernel's scheduling record says it per thread.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import unavailable
from tracekit.analysis.metrics.methods import KERNEL_SCHED
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods, sum_threads

_NOT_WATCHED = unavailable("needs capture kernel, which records on which CPU a thread runs")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    found, states = analysis.recorded_waits, analysis.sched_states
    running = states.running
    cpus = states.cpus[running.rows]
    lanes = found.timeline.find_lanes(running.starts)
    moved = (lanes[1:] == lanes[:-1]) & (cpus[1:] != cpus[:-1]) & (cpus[1:] >= 0) & (cpus[:-1] >= 0)
    counts = found.timeline.count_by_lane(running.starts[1:][moved])
    stays = found.timeline.count_by_lane(running.starts)
    there = stays > 0
    numbers = sum_threads(found.threads[there], counts[there], stays[there], KERNEL_SCHED, every=True)
    return rows_of_methods(analysis, METRIC.name, METRIC.unit, join_methods(numbers), missing=_NOT_WATCHED)


METRIC = Metric(
    name="cpu_migrations",
    unit="count",
    better="lower",
    needs=("sched", "threads"),
    valid_on=f"{LINUX}, with capture kernel",
    summary="How often a thread continued on another CPU.",
    method=(
        "Consecutive running intervals of a thread on different CPUs. Run: sum over its threads. Cell: median, "
        "bootstrap interval."
    ),
    compute=compute,
)
