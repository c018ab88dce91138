"""ceiling_share: the speed-up as a share of what this machine allows.

A speed-up of 1.6 with 2 workers is poor where the machine gives 2.0 and excellent where a shared or throttled
CPU gives 1.65. So each suite measures its ceiling with controls that have nothing to share: `spin` computes,
`sleep` waits. ceiling_share = speedup / speedup of the control with the same number of workers.

Which control: `sleep` for kinds io and mixed, whose tasks wait and so are not limited by the number of CPUs;
`spin` for all others. Which of the control's models: the fastest one that no GIL holds back, that is process
models, and all models where the GIL is off; for `sleep` any model but serial. `method` names it. The four walls are
paired by round, as for the speed-up. A control that was not detectably faster than serial is no ceiling.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.cells.speedup import CellWalls, find_serial_walls, list_cell_walls, measure_ratio
from tracekit.analysis.metrics.estimate import Estimate, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.statistics.ratios import Rounds, divide_rounds, geometric_interval, geometric_mean
from tracekit.bundle.names import COMPUTING, SERIAL, WAITING

WAITING_KINDS = ("io", "mixed")
NO_CONTROL = "no control was measured at this worker count"
NO_CEILING = "the control itself was not detectably faster than serial"


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = MetricRows(analysis, METRIC.name, METRIC.unit)
    walls = list_cell_walls(analysis)
    no_gil = {run["run_id"] for run in analysis.runs if run["gil_enabled"] is False}
    for cell, own in walls:
        rows.add_cell(cell, _share(cell, own, walls, no_gil))
    return rows.to_frame()


def choose_control(kind: str) -> str:
    """The control that shows what work of this kind could reach."""
    return WAITING if kind in WAITING_KINDS else COMPUTING


def _share(cell: CellRuns, own: Rounds, walls: CellWalls, no_gil: set[str]) -> Estimate:
    if cell.control:
        return unavailable("is the control")
    if cell.columns["workers"] == 1:
        return unavailable("one worker has no ceiling to reach")
    if not own:
        return unavailable("no run of this cell ended ok")
    serial = find_serial_walls(cell, walls)
    if not serial:
        return unavailable("no serial run of the same work ended ok")
    ceilings = [
        (geometric_mean(reached.values()), other.model, reached)
        for other, values in walls
        if _is_ceiling(other, cell, no_gil) and (reached := divide_rounds(find_serial_walls(other, walls), values))
    ]
    if not ceilings:
        return unavailable(NO_CONTROL)
    ceiling, model, reached = max(ceilings, key=lambda item: item[:2])
    control = f"{choose_control(cell.kind)} with {model}"
    if ceiling <= 1 or geometric_interval(reached.values())[0] <= 1:
        return unavailable(f"{NO_CEILING}: {control} reached {ceiling:.2f}x")
    return measure_ratio(divide_rounds(serial, own), reached, control)


def _is_ceiling(other: CellRuns, cell: CellRuns, no_gil: set[str]) -> bool:
    name = choose_control(cell.kind)
    free = name == "sleep" or other.starts_processes or no_gil.issuperset(other.runs)
    matches = other.control and other.columns["workload"] == name and other.model != SERIAL
    return matches and free and other.same(cell, "workers", "os", "python")


METRIC = Metric(
    name="ceiling_share",
    unit="share",
    better="higher",
    needs=("runs",),
    valid_on=EVERYWHERE,
    summary="The speed-up as a share of what a control with nothing to share reached on this machine.",
    method=(
        "speedup / speedup of the control at the same worker count: `sleep` for kinds io and mixed, else "
        "`spin`, in its fastest model that no GIL holds back; paired by round. "
        "A control that was not detectably faster than serial is no ceiling."
    ),
    compute=compute,
    computed_from=("speedup",),
)
