"""cpu_ns: the CPU time of all measured processes together.

User and system time of the main process in the run window plus that of each worker process since its birth,
summed. Wall says how long one waited, CPU time how much work it was. Processes that
multiprocessing keeps for itself (the fork server, the resource tracker) are not measured and not in it.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    found = analysis.counter_changes("cpu_ns", "process")
    runs, places = total_processes(
        analysis.measured_processes, found, missing="the CPU time of the processes was not read"
    )
    return rows_of_runs(analysis, METRIC.name, METRIC.unit, runs, places=places)


METRIC = Metric(
    name="cpu_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes"),
    valid_on=EVERYWHERE,
    summary="CPU time of the main process and all workers, their start-up included.",
    method=(
        "Main process: difference over the run window, without the shutdown. Worker process: since birth. "
        "multiprocessing's own helper processes are left out. Cell: median, bootstrap interval."
    ),
    compute=compute,
)
