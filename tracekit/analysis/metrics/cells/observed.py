"""observed.<name>: observations of a workload about itself, in the units that it declares.

How many updates were lost, how late a beat came, how many writes another worker saw: only the workload can count that.
Its `observe` is called once, in the main process, after the last result has come.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_median
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import NOT_RECORDED, MetricRows
from tracekit.analysis.tables import from_rows

PREFIX = "observed."
SCOPE = "workload"
"""The scope of counters that are observations."""


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell, for the workloads that observe anything."""
    found: dict[tuple[str, str], dict[str, Estimate]] = {}
    for row in analysis.counter_readings(SCOPE):
        if row["value"] is not None:
            of_name = found.setdefault((row["counter"], row["unit"] or ""), {})
            of_name[row["run_id"]] = measured(row["value"], SCOPE)
    # One table for all: `crash` has hundreds of names, and each table of its own would take milliseconds.
    return from_rows(
        "metrics",
        [row for (name, unit), each in found.items() for row in _of_name(analysis, f"{PREFIX}{name}", unit, each)],
    )


def _of_name(analysis: Analysis, metric: str, unit: str, estimates: dict[str, Estimate]) -> list[dict[str, Any]]:
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
    needs=("counters",),
    valid_on=EVERYWHERE,
    summary="What a workload found out about itself; each observation is a metric of its own, `observed.<name>`, in "
    "the unit that the workload declares.",
    method="The workload's own count, read once after its last result. Cell: median, bootstrap interval.",
    compute=compute,
)
