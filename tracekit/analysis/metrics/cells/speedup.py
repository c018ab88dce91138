"""speedup: how many times faster than serial, S = T_serial / T_cell (G. Amdahl 1967).

Medians of the walls of the serial cell and of this cell, of the same workload, size, interpreter and system.
The interval resamples both over their runs. Serial itself is 1 by definition.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from tracekit.analysis.metrics import bootstrap
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.bundle.names import SERIAL

SAME_WORK = ("workload", "size", "parameters", "os", "python")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = MetricRows(analysis, METRIC.name, METRIC.unit)
    walls = list_cell_walls(analysis)
    for cell, _ in walls:
        rows.add_cell(cell, compute_speedup(cell, walls))
    return rows.to_frame()


def list_cell_walls(analysis: Analysis) -> list[tuple[CellRuns, list[float]]]:
    """Every untraced cell with the walls of its runs."""
    walls = {run["run_id"]: run["wall_ns"] for run in analysis.usable_runs}
    return [(cell, [float(walls[run]) for run in cell.runs if walls[run]]) for cell in analysis.untraced_cells]


def find_serial_walls(cell: CellRuns, walls: list[tuple[CellRuns, list[float]]]) -> list[float]:
    """The walls of the serial runs of the same work; empty when there are none."""
    for other, values in walls:
        if other.model == SERIAL and other.same(cell, *SAME_WORK):
            return values
    return []


def compute_speedup(cell: CellRuns, walls: list[tuple[CellRuns, list[float]]]) -> Estimate:
    """The speed-up of one of these cells."""
    own = next(values for other, values in walls if other is cell)
    serial = find_serial_walls(cell, walls)
    if not own:
        return unavailable("no run of this cell ended ok")
    if not serial:
        return unavailable("no serial run of the same work ended ok")
    if cell.model == SERIAL:
        return measured(1.0, "the reference", n=len(own))
    value, resampled = divide_medians(serial, own)
    return measured(value, "ratio of medians", interval=bootstrap.interval(resampled), n=len(own))


def divide_medians(top: list[float], bottom: list[float], stream: int = 0) -> tuple[float, bootstrap.Floats]:
    """median(top) / median(bottom), and the resampled ratios (float64, NaN for too few runs).

    Uses the random streams `stream` and `stream + 1`.
    """
    value = float(np.median(top) / np.median(bottom))
    resampled = bootstrap.resampled_medians(top, stream) / bootstrap.resampled_medians(bottom, stream + 1)
    return (value if math.isfinite(value) else math.nan), resampled


METRIC = Metric(
    name="speedup",
    unit="ratio",
    better="higher",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How many times faster than the serial run of the same work.",
    method=(
        "Median serial wall over median wall of the cell; the interval resamples both over their runs. "
        "Serial is 1 by definition."
    ),
    compute=compute,
)
