"""wall_ns: how long the work, or the program, took.

    run-span       a run of a suite: the span `run` of its main process, from before the first worker is started until
                   the last one is joined
    program-span   a recorded program: from the start of its process, exec and loading included, until its end was
                   seen; of a program that a capture's tool started (py-spy) from just before its exec, or a bound
                   where that was not seen: at most from the tool's start to its end

CLOCK_MONOTONIC in nanoseconds. Over the repeats of a cell: the median, with the 95 % bootstrap interval of
the median.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.estimate import Estimate, bound, measured
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    walls = {
        run["run_id"]: _read_wall(analysis, run["run_id"], float(run["wall_ns"]), program=is_program(run))
        for run in analysis.usable_runs
        if run["wall_ns"] is not None
    }
    return rows_of_runs(analysis, METRIC.name, METRIC.unit, walls)


def _read_wall(analysis: Analysis, run_id: str, wall_ns: float, *, program: bool) -> Estimate:
    if run_id in analysis.runs_with_notice("wall-of-tool"):
        return bound(0.0, wall_ns, wall_ns, "program-span", reason="at most: the tool's own start and end are in it")
    return measured(wall_ns, "program-span" if program else "run-span")


METRIC = Metric(
    name="wall_ns",
    unit="ns",
    better="lower",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How long the work, or the program, took.",
    method="run-span: from before the first worker is started until the last one is joined. program-span: from the "
    "start of the program's process, exec and loading included, until it was reaped. Cell: "
    "median of the repeats, 95 % bootstrap interval of the median.",
    compute=compute,
)
