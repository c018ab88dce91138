"""probe_effect: how many times slower the work is under a capture.

Median traced wall over median untraced wall of the same cell. Because of it timings never come from traced
runs, and a picture is less true the larger it is: VizTracer costs time per call, so code of many small calls looks
slower than it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics import bootstrap
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.cells.speedup import divide_medians
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.tables import CELL

_SAME = tuple(name for name in CELL if name != "capture")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell, with `capture` naming the tool."""
    rows = MetricRows(analysis, METRIC.name, METRIC.unit)
    walls = {run["run_id"]: float(run["wall_ns"]) for run in analysis.usable_runs if run["wall_ns"]}
    untraced = analysis.untraced_cells
    for cell in analysis.traced_cells:
        twin = next((other for other in untraced if other.same(cell, *_SAME)), None)
        rows.add_cell(cell, _effect(_walls(cell, walls), [] if twin is None else _walls(twin, walls)))
    return rows.to_frame()


def _walls(cell: CellRuns, walls: dict[str, float]) -> list[float]:
    return [walls[run] for run in cell.runs if run in walls]


def _effect(traced: list[float], untraced: list[float]) -> Estimate:
    if not traced:
        return unavailable("no traced run of this cell ended ok")
    if not untraced:
        return unavailable("no untraced run of the same cell ended ok")
    value, resampled = divide_medians(traced, untraced)
    if len(traced) >= bootstrap.LEAST:
        return measured(value, "ratio of medians", interval=bootstrap.interval(resampled), n=len(traced))
    # Few traced runs have no spread worth showing: the interval then holds only the doubt about the untraced ones.
    alone = float(np.median(traced)) / bootstrap.resampled_medians(untraced)
    return measured(value, "medians, few traced runs", interval=bootstrap.interval(alone), n=len(traced))


METRIC = Metric(
    name="probe_effect",
    unit="ratio",
    better="lower",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How many times longer the same work takes while this capture watches.",
    method=(
        f"Median traced wall over median untraced wall. With fewer than {bootstrap.LEAST} traced runs the interval "
        "holds the spread of the untraced runs only."
    ),
    compute=compute,
)
