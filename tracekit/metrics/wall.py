"""wall_ns: how long the work took.

The span `run` of the main process: from before the first worker is started until the last one is joined.
CLOCK_MONOTONIC in nanoseconds. Over the repeats of a cell: the median, with the 95 % bootstrap interval of
the median.
"""

from __future__ import annotations

import pandas as pd

from tracekit.metrics.cells import usable_runs
from tracekit.metrics.estimate import measured
from tracekit.metrics.metric import EVERYWHERE, Metric
from tracekit.metrics.rows import from_runs
from tracekit.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell."""
    walls = {
        run["run_id"]: measured(float(run["wall_ns"]), "run-span")
        for run in usable_runs(tables)
        if run["wall_ns"] is not None
    }
    return from_runs(tables, METRIC.name, METRIC.unit, walls)


METRIC = Metric(
    name="wall_ns",
    unit="ns",
    better="lower",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How long the work took, from before the first worker is started until the last one is joined.",
    method="Duration of the span `run`. Cell: median of the repeats, 95 % bootstrap interval of the median.",
    compute=compute,
)
