"""load_balance: whether the workers shared the work evenly.

Mean CPU time of a worker's tasks over that of the busiest worker (the POP project's load balance): 1 is even,
1/N means that one worker did everything. CPU time and not wall, so that waiting for one another does not look
like work.
"""

from __future__ import annotations

import pandas as pd

from tracekit.metrics.cells import SERIAL, records, usable_runs
from tracekit.metrics.estimate import Estimate, measured, unavailable
from tracekit.metrics.metric import EVERYWHERE, Metric
from tracekit.metrics.rows import from_runs
from tracekit.metrics.task_time import task_time
from tracekit.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell."""
    busy: dict[str, list[float | None]] = {}
    for thread in records(task_time(tables)):
        busy.setdefault(thread["run_id"], []).append(thread["cpu"])
    estimates = {
        run["run_id"]: _balance(busy.get(run["run_id"], []), int(run["workers"] or 1), run["model"] == SERIAL)
        for run in usable_runs(tables)
    }
    return from_runs(tables, METRIC.name, METRIC.unit, estimates)


def _balance(busy: list[float | None], workers: int, serial: bool) -> Estimate:
    if serial:
        return unavailable("one worker has nobody to share with")
    known = [cpu for cpu in busy if cpu is not None]
    if not known or len(known) < len(busy) or not max(known):
        return unavailable("the CPU time of the tasks was not read")
    # A worker that was asked for and did no task at all counts as one that did nothing.
    return measured(sum(known) / max(workers, len(known)) / max(known), "task CPU time")


METRIC = Metric(
    name="load_balance",
    unit="share",
    better="higher",
    needs=("spans",),
    valid_on=EVERYWHERE,
    summary="How evenly the workers shared the work: 100 % is even, 1/N means that one did everything.",
    method="Mean task CPU time of a worker over that of the busiest one. Cell: median, bootstrap interval.",
    compute=compute,
)
