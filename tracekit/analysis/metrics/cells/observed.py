"""observed.<name>: the numbers that a workload observes about itself, pooled by cell and by dimensions.

How many updates were lost, how late a beat came, how many writes another worker saw: only the workload can count that.
Its `observe` is called once, in the main process, after the last result has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_median
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import NOT_RECORDED, MetricRows
from tracekit.analysis.tables import from_rows
from tracekit.bundle.stream_records import DIMENSIONS

_METHOD = "workload"


def metric_name(what: str, dimensions: Mapping[str, Any]) -> str:
    """The metric of an observation: `observed.pipe.1024.round_trip_p50_ns`, the dimensions in the order of DIMENSIONS.

    It is for tables that have one column for the metric, such as metrics.csv. Nothing parses it: the table
    `observations` has the dimensions as columns, and this function finds their metric.
    """
    given = [str(dimensions[name]) for name in DIMENSIONS if dimensions.get(name) not in (None, "")]
    return ".".join(["observed", *given, what])


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell, for the workloads that observe numbers; texts stay in `observations`."""
    found: dict[tuple[str, str], dict[str, Estimate]] = {}
    for row in analysis.observations:
        if row["value"] is not None:
            of_name = found.setdefault((metric_name(row["what"], row), row["unit"] or ""), {})
            of_name[row["run_id"]] = measured(row["value"], _METHOD)
    # One table for all: `crash` has hundreds of names, and each table of its own would take milliseconds.
    return from_rows(
        "metrics", [row for (name, unit), each in found.items() for row in _rows_of(analysis, name, unit, each)]
    )


def _rows_of(analysis: Analysis, metric: str, unit: str, estimates: dict[str, Estimate]) -> list[dict[str, Any]]:
    rows = MetricRows(analysis, metric, unit)
    for run in analysis.usable_runs:
        if run["run_id"] in estimates:
            rows.add_run(run, estimates[run["run_id"]])
    for cell in analysis.timed_cells:
        if estimates.keys() & set(cell.runs):
            rows.add_cell(cell, pooled_median([estimates.get(run_id, NOT_RECORDED) for run_id in cell.runs]))
    return rows.rows


METRIC = Metric(
    name="observed",
    unit="count",
    better="neither",
    needs=("observations",),
    valid_on=EVERYWHERE,
    summary="What a workload observes about itself. Each observation is a metric of its own, named by its dimensions, "
    "`observed.pipe.1024.round_trip_p50_ns`, in the unit that the workload declares; the table `observations` has the "
    "dimensions as columns.",
    method="The workload's own number, read once after its last result. Cell: median, bootstrap interval.",
    compute=compute,
)
