"""steal_share: which part of the CPU time that a run wanted the hypervisor took away.

steal / (CPU time used + steal). The steal is the machine's, so that of other programs is in it too; 0 % is a machine of
one's own. Over the repeats of a cell: sums over sums, since steal comes in bursts.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics import bootstrap
from tracekit.analysis.metrics.cells.cell_runs import told_cells, usable_runs
from tracekit.analysis.metrics.counter_changes import changes, machine_changes
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.process_totals import totals
from tracekit.analysis.metrics.rows import Rows
from tracekit.analysis.tables import Tables, records

_MISSING = "the system does not count steal here"


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell."""
    stolen = {row["run_id"]: row["value"] for row in records(machine_changes(tables, "steal_ns"))}
    used, _ = totals(tables, changes(tables, "cpu_ns", "process"), missing="CPU time was not read")
    pairs = {
        run_id: (stolen[run_id], estimate.value)
        for run_id, estimate in used.items()
        if estimate.available and stolen.get(run_id) is not None
    }
    rows = Rows(tables, METRIC.name, METRIC.unit)
    for run in usable_runs(tables):
        rows.run(run, _share([pairs[run["run_id"]]] if run["run_id"] in pairs else [], pooled=False))
    for cell in told_cells(tables):
        rows.cell(cell, _share([pairs[run_id] for run_id in cell.runs if run_id in pairs], pooled=True))
    return rows.frame()


def _share(pairs: list[tuple[float, float]], *, pooled: bool) -> Estimate:
    tops, bottoms = [steal for steal, _ in pairs], [steal + cpu for steal, cpu in pairs]
    if not sum(bottoms):
        return unavailable(_MISSING)
    interval = bootstrap.sum_ratio_interval(tops, bottoms) if pooled else None
    return measured(sum(tops) / sum(bottoms), "/proc/stat", interval=interval, n=len(pairs))


METRIC = Metric(
    name="steal_share",
    unit="share",
    better="lower",
    needs=("counters", "processes"),
    valid_on=LINUX,
    summary="Which part of the CPU time that the run wanted the hypervisor gave to others.",
    method="Steal of the machine / (CPU time of the measured processes + steal). Cell: sums over sums.",
    compute=compute,
)
