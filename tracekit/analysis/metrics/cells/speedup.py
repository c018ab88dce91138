"""speedup: how many times faster than serial, S = T_serial / T_cell (Amdahl 1967 and everybody since).

Medians of the walls of the serial cell and of this cell, of the same workload, size, interpreter and system.
The interval resamples both over their runs. Serial itself is 1 by definition.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from tracekit.analysis.metrics import bootstrap
from tracekit.analysis.metrics.cells.cell_runs import Cell, untraced_cells, usable_runs
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import Rows
from tracekit.analysis.tables import Tables
from tracekit.bundle.names import SERIAL

SAME_WORK = ("workload", "size", "parameters", "os", "python")


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = Rows(tables, METRIC.name, METRIC.unit)
    walls = cell_walls(tables)
    for cell, _ in walls:
        rows.cell(cell, speedup(cell, walls))
    return rows.frame()


def cell_walls(tables: Tables) -> list[tuple[Cell, list[float]]]:
    """Every untraced cell with the walls of its runs."""
    walls = {run["run_id"]: run["wall_ns"] for run in usable_runs(tables)}
    return [(cell, [float(walls[run]) for run in cell.runs if walls[run]]) for cell in untraced_cells(tables)]


def serial_walls(cell: Cell, walls: list[tuple[Cell, list[float]]]) -> list[float]:
    """The walls of the serial runs of the same work; empty when there are none."""
    for other, values in walls:
        if other.model == SERIAL and other.same(cell, *SAME_WORK):
            return values
    return []


def speedup(cell: Cell, walls: list[tuple[Cell, list[float]]]) -> Estimate:
    """The speed-up of one of these cells."""
    own = next(values for other, values in walls if other is cell)
    serial = serial_walls(cell, walls)
    if not own:
        return unavailable("no run of this cell ended ok")
    if not serial:
        return unavailable("no serial run of the same work ended ok")
    if cell.model == SERIAL:
        return measured(1.0, "the reference", n=len(own))
    value, resampled = ratio(serial, own)
    return measured(value, "ratio of medians", interval=bootstrap.interval(resampled), n=len(own))


def ratio(top: list[float], bottom: list[float], stream: int = 0) -> tuple[float, bootstrap.Floats]:
    """median(top) / median(bottom), and the resampled ones (NaN for too few). Uses streams `stream` and
    `stream + 1`.
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
