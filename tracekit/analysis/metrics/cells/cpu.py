"""cpu_ns: what the work cost in CPU time, whoever ran it.

User and system time of the main process in the run window plus that of each worker process since its birth,
summed. Compare it with wall_ns: wall says how long one waited, CPU time what it used up. Processes that
multiprocessing keeps for itself (the fork server, the resource tracker) are not measured and not in it.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.counter_changes import changes
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.process_totals import totals
from tracekit.analysis.metrics.rows import from_runs
from tracekit.analysis.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    found = changes(tables, "cpu_ns", "process")
    runs, places = totals(tables, found, missing="the CPU time of the processes was not read")
    return from_runs(tables, METRIC.name, METRIC.unit, runs, places=places)


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
