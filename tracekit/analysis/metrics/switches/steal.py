"""steal_ns, steal_share: CPU time that the hypervisor gave to others while our processes wanted it.

/proc/stat counts it for the whole machine in ticks of 10 ms, so other programs' share is in it as well. It comes in
bursts, and a median would hide them: steal_ns is summed over the runs of a cell. steal_share is steal / (CPU time used
+ steal); 0 % is a machine of one's own. Over the repeats of a cell: sums over sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_sum, unavailable
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import MetricRows, rows_of_methods
from tracekit.analysis.statistics.intervals import sum_ratio_interval
from tracekit.analysis.tables import records

_MISSING = unavailable("the system does not count steal here")
_NO_CPU = unavailable("the CPU time of the run window was not read: see steal_ns and cpu_ns")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    estimates = {
        (row["run_id"],): [measured(row["value"], "/proc/stat")]
        for row in records(analysis.machine_changes("steal_ns"))
        if row["value"] is not None
    }
    return rows_of_methods(analysis, STEAL.name, STEAL.unit, estimates, pool=pooled_sum, missing=_MISSING)


def compute_share(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    stolen = {row["run_id"]: row["value"] for row in records(analysis.machine_changes("steal_ns"))}
    used, _ = total_processes(
        analysis.measured_processes, analysis.counter_changes("cpu_ns", "process"), missing="CPU time was not read"
    )
    pairs = {
        run_id: (stolen[run_id], estimate.value)
        for run_id, estimate in used.items()
        if estimate.available and stolen.get(run_id) is not None
    }
    rows = MetricRows(analysis, SHARE.name, SHARE.unit)
    for run in analysis.usable_runs:
        rows.add_run(run, _share([run["run_id"]], pairs, stolen, pooled=False))
    for cell in analysis.lightly_traced_cells:
        rows.add_cell(cell, _share(cell.runs, pairs, stolen, pooled=True))
    return rows.to_frame()


def _share(
    runs: Iterable[str], pairs: Mapping[str, tuple[float, float]], stolen: Mapping[str, float | None], *, pooled: bool
) -> Estimate:
    runs = list(runs)
    known = [pairs[run_id] for run_id in runs if run_id in pairs]
    tops, bottoms = [steal for steal, _ in known], [steal + cpu for steal, cpu in known]
    if not sum(bottoms):
        return _MISSING if all(stolen.get(run_id) is None for run_id in runs) else _NO_CPU
    interval = sum_ratio_interval(tops, bottoms) if pooled else None
    return measured(sum(tops) / sum(bottoms), "/proc/stat", interval=interval, n=len(known))


STEAL = Metric(
    name="steal_ns",
    unit="ns",
    better="lower",
    needs=("counters",),
    valid_on=LINUX,
    summary="CPU time of the machine that the hypervisor gave to others during the runs.",
    method="Difference of /proc/stat's steal over the run window, of a program from before its start until it had "
    "ended, in ticks of 10 ms. Cell: sum of its runs.",
    compute=compute,
)
SHARE = Metric(
    name="steal_share",
    unit="share",
    better="lower",
    needs=("counters", "processes"),
    valid_on=LINUX,
    summary="Which part of the CPU time that the run wanted the hypervisor gave to others.",
    method="Steal of the machine / (CPU time of the measured processes + steal). Cell: sums over sums.",
    compute=compute_share,
    computed_from=("steal_ns", "cpu_ns"),
)
