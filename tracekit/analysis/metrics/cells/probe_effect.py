"""probe_effect: how many times slower the work is under a capture.

Traced wall over untraced wall of the same cell; of a light capture, whose runs are in every round, paired by round.
Because of it timings never come from traced
runs, and a picture is less true the larger it is: VizTracer costs time per call, so code of many small calls looks
slower than it is.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.speedup import PAIRED, measure_ratio
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.analysis.statistics.ratios import Rounds, divide_samples
from tracekit.analysis.tables import CELL

_SAME = tuple(name for name in CELL if name != "capture")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell, with `capture` naming the tool."""
    rows = MetricRows(analysis, METRIC.name, METRIC.unit)
    untraced = analysis.untraced_cells
    for cell in analysis.traced_cells:
        twin = next((other for other in untraced if other.same(cell, *_SAME)), None)
        rows.add_cell(
            cell, _effect(analysis.walls_by_round(cell), {} if twin is None else analysis.walls_by_round(twin))
        )
    return rows.to_frame()


def _effect(traced: Rounds, untraced: Rounds) -> Estimate:
    if not traced:
        return unavailable("no traced run of this cell ended ok")
    if not untraced:
        return unavailable("no untraced run of the same cell ended ok")
    if len(traced) >= LEAST:
        return measure_ratio(traced, untraced, PAIRED)
    # The one run of a heavy capture comes after all rounds and is in none of them.
    value, interval = divide_samples(list(traced.values()), list(untraced.values()))
    return measured(value, "few traced runs, not paired", interval=interval, n=len(traced))


METRIC = Metric(
    name="probe_effect",
    unit="ratio",
    better="lower",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="How many times longer the same work takes while this capture watches.",
    method=(
        "Traced wall over untraced wall, paired by round as the speed-up. With fewer than "
        f"{LEAST} traced runs, which may be of no round: geometric mean over geometric mean, and the interval takes "
        "traced walls to spread as untraced ones do."
    ),
    compute=compute,
    computed_from=("wall_ns",),
)
