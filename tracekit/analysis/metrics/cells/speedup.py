"""speedup: how many times faster than serial, S = T_serial / T_cell (G. Amdahl 1967).

Walls of the serial cell and of this cell, of the same workload, size, interpreter and system, paired by round: the
geometric mean of the ratios of the rounds and its interval (statistics/ratios.py). Serial itself is 1 by definition.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.statistics.ratios import (
    NO_PAIR,
    Rounds,
    divide_rounds,
    geometric_interval,
    geometric_mean,
)
from tracekit.bundle.names import SERIAL

SAME_WORK = ("workload", "size", "parameters", "os", "python")

PAIRED = "paired by round"

CellWalls = list[tuple[CellRuns, dict[int, float]]]
"""Cells, each with its walls by round."""


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = MetricRows(analysis, METRIC.name, METRIC.unit)
    walls = list_cell_walls(analysis)
    for cell, own in walls:
        rows.add_cell(cell, _speedup(cell, own, walls))
    return rows.to_frame()


def list_cell_walls(analysis: Analysis) -> CellWalls:
    """Every untraced cell."""
    return [(cell, analysis.walls_by_round(cell)) for cell in analysis.untraced_cells]


def find_serial_walls(cell: CellRuns, walls: CellWalls) -> dict[int, float]:
    """The walls of the serial runs of the same work; empty when there are none."""
    for other, values in walls:
        if other.model == SERIAL and other.same(cell, *SAME_WORK):
            return values
    return {}


def measure_ratio(top: Rounds, bottom: Rounds, method: str) -> Estimate:
    """The ratio of what was measured in the same rounds."""
    ratios = divide_rounds(top, bottom).values()
    if not ratios:
        return unavailable(NO_PAIR)
    return measured(geometric_mean(ratios), method, interval=geometric_interval(ratios), n=len(ratios))


def _speedup(cell: CellRuns, own: Rounds, walls: CellWalls) -> Estimate:
    serial = find_serial_walls(cell, walls)
    if not own:
        return unavailable("no run of this cell ended ok")
    if not serial:
        return unavailable("no serial run of the same work ended ok")
    if cell.model == SERIAL:
        return measured(1.0, "the reference", n=len(own))
    return measure_ratio(serial, own, PAIRED)


METRIC = Metric(
    name="speedup",
    unit="ratio",
    better="higher",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How many times faster than the serial run of the same work.",
    method=(
        "Serial wall over wall of the cell in each round that has both; geometric mean of the rounds, log-t interval. "
        "Serial is 1 by definition."
    ),
    compute=compute,
    computed_from=("wall_ns",),
)
