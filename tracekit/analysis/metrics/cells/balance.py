"""load_balance: how evenly the workers shared the work.

Mean work of a worker over that of the busiest worker (the POP project's load balance): 1 is even, 1/N means
that one worker did everything.

Work is the CPU time of the worker's tasks, and not their wall, so that waiting for one another does not look
like work. Tasks of kinds io and mixed wait on purpose: what a worker contributes there is the time it waits,
and its CPU time is the microseconds of asking for it, whose ratio is chance. There work is the wall that the
worker's tasks cover; a wait for the GIL or a CPU then counts as work, which makes the balance look better than
it is, at most as much as such tasks compute at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.ceiling import WAITING_KINDS
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs
from tracekit.analysis.tables import records
from tracekit.bundle.names import SERIAL


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    threads: dict[str, list[dict[str, Any]]] = {}
    for thread in records(analysis.task_time):
        threads.setdefault(thread["run_id"], []).append(thread)
    estimates = {run["run_id"]: _balance(run, threads.get(run["run_id"], [])) for run in analysis.usable_runs}
    return rows_of_runs(analysis, METRIC.name, METRIC.unit, estimates)


def _balance(run: Mapping[str, Any], threads: list[dict[str, Any]]) -> Estimate:
    if run["model"] == SERIAL:
        return unavailable("one worker has no other to share with")
    waits = run["kind"] in WAITING_KINDS
    work = [thread["wall" if waits else "cpu"] for thread in threads]
    known = [item for item in work if item is not None]
    if not known:
        return unavailable("no task was recorded in this run")
    if len(known) < len(work):
        return unavailable("the CPU time of the tasks was not read")
    if not max(known):
        return unavailable("the tasks took no time that the clock can see")
    # A worker that was asked for and did no task at all counts as one that did nothing.
    workers = max(int(run["workers"] or 1), len(known))
    return measured(sum(known) / workers / max(known), "task wall" if waits else "task CPU time")


METRIC = Metric(
    name="load_balance",
    unit="share",
    better="higher",
    needs=("spans",),
    valid_on=EVERYWHERE,
    summary="How evenly the workers shared the work: 100 % is even, 1/N means that one did everything.",
    method=(
        "Mean task CPU time of a worker over that of the busiest one; for kinds io and mixed, whose tasks wait on "
        "purpose, task wall. Cell: median, bootstrap interval."
    ),
    compute=compute,
)
