"""gil_wait_share: which part of their time the worker threads waited for the GIL.

gil_wait_ns of a run over thread_wall_ns of the same run, end by end; what the ends are is told in gil_wait.py.
Run by run, because the two pool differently: gil_wait_ns by the median and thread_wall_ns by the mean. Of five
runs that all wait half the time, one of them three times as long as the others, the median wait is half of a
common run and the mean wall 1.4 common runs: divided after pooling, that would read 36 %.

Over the repeats of a cell: the medians of the ends and of the value.
"""

from __future__ import annotations

import pandas as pd

from tracekit.metrics import gil_wait
from tracekit.metrics.estimate import Estimate, bound, measured, unavailable
from tracekit.metrics.ledger import thread_walls
from tracekit.metrics.metric import Metric
from tracekit.metrics.rows import from_runs
from tracekit.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell."""
    waits, _ = gil_wait.of_runs(tables)
    walls = thread_walls(tables)
    shares = {run_id: _share(wait, walls.get(run_id)) for run_id, wait in waits.items()}
    missing = unavailable(gil_wait.NO_TASK)
    return from_runs(tables, METRIC.name, METRIC.unit, shares, missing=lambda _run: missing)


def _share(wait: Estimate, wall: float | None) -> Estimate:
    if not wait.available:
        return wait
    if not wall:
        return unavailable("the time of the worker threads is not known")
    if wait.quality == "measured":
        return measured(min(1.0, wait.value / wall), wait.method, n=wait.n, reason=wait.reason)
    # Tasks that lie over one another may reach beyond the life that was stamped: no part is more than its whole.
    lower, value, upper = (min(1.0, end / wall) for end in (wait.lower, wait.value, wait.upper))
    return bound(lower, value, upper, wait.method, n=wait.n, reason=wait.reason)


METRIC = Metric(
    name="gil_wait_share",
    unit="share",
    better="lower",
    needs=("spans", "counters", "threads"),
    valid_on=gil_wait.METRIC.valid_on,
    summary="Which part of their time the worker threads waited for the GIL, as an interval that contains the truth.",
    method="gil_wait_ns over thread_wall_ns of the same run, end by end. Cell: medians of the ends.",
    compute=compute,
)
