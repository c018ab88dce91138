"""cpu_migrations: how often a thread went on on another CPU than it was last on.

Two consecutive running intervals of a thread on different CPUs are one migration. Each costs warm caches. Only the
kernel's scheduling record says it per thread.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import unavailable
from tracekit.analysis.metrics.ledger.from_sched import scheduled
from tracekit.analysis.metrics.methods import KERNEL_SCHED
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.recorded_waits import seen_waits
from tracekit.analysis.metrics.rows import from_methods
from tracekit.analysis.metrics.thread_sums import joined, summed
from tracekit.analysis.tables import Tables

_NOT_WATCHED = unavailable("needs capture kernel, which records on which CPU a thread runs")


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    found, states = seen_waits(tables), scheduled(tables)
    running = states.running
    cpus = states.cpus[running.rows]
    lanes = found.lanes.lanes_at(running.starts)
    moved = (lanes[1:] == lanes[:-1]) & (cpus[1:] != cpus[:-1]) & (cpus[1:] >= 0) & (cpus[:-1] >= 0)
    counts = found.lanes.sums(running.starts[1:][moved], np.ones(int(moved.sum()), np.int64))
    stays = found.lanes.sums(running.starts, np.ones(len(cpus), np.int64))
    there = stays > 0
    numbers = summed(found.threads[there], counts[there], stays[there], KERNEL_SCHED, every=True)
    return from_methods(tables, METRIC.name, METRIC.unit, joined(numbers), missing=_NOT_WATCHED)


METRIC = Metric(
    name="cpu_migrations",
    unit="count",
    better="lower",
    needs=("sched", "threads"),
    valid_on=f"{LINUX}, with capture kernel",
    summary="How often a thread went on on another CPU.",
    method=(
        "Consecutive running intervals of a thread on different CPUs. Run: sum over its threads. Cell: median, "
        "bootstrap interval."
    ),
    compute=compute,
)
