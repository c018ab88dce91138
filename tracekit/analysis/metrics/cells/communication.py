"""What handing out tasks costs: how long tasks wait in the queue, and how long workers have none.

queue_wait_ns         from the return of `submit` to the task's first instruction; of a run the median of its tasks. All
                      tasks of a run are submitted at once, so that it grows with their number: it says how long the
                      queue is, and for a single task how long it takes to reach a worker.
communication_share   of the time of the workers between the beginning of their first and the end of their last task,
                      the part in no task: sending the result, waiting for the next task and unpickling it. Waiting for
                      a parent that cannot hand out as fast is in it. Pickling of results happens there as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs
from tracekit.analysis.metrics.task_spans import TaskSpans
from tracekit.bundle.names import SERIAL

NO_QUEUE = unavailable("tasks of this model wait in no queue")
ONE_TASK = unavailable("no worker did two tasks, between which it could wait")


def compute_queue_wait(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    returned = analysis.submit_returns
    tasks = analysis.task_spans
    found = {
        run["run_id"]: _waited(tasks[run["run_id"]], returned[run["run_id"]])
        for run in analysis.usable_runs
        if run["run_id"] in returned and run["run_id"] in tasks
    }
    return rows_of_runs(analysis, QUEUE_WAIT.name, QUEUE_WAIT.unit, found, missing=lambda _: NO_QUEUE)


def compute_share(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    tasks = analysis.task_spans
    found = {
        run["run_id"]: _between(tasks[run["run_id"]])
        for run in analysis.usable_runs
        if run["run_id"] in tasks and run["model"] != SERIAL
    }
    return rows_of_runs(analysis, SHARE.name, SHARE.unit, found, missing=_why_missing)


def _why_missing(run: Mapping[str, Any]) -> Estimate:
    return unavailable("nothing is handed out") if run["model"] == SERIAL else unavailable("no task was recorded")


def _waited(tasks: TaskSpans, returned: Mapping[int, int]) -> Estimate:
    waits = [
        max(0, int(start) - returned[int(item)])
        for item, start in zip(tasks.item, tasks.start, strict=True)
        if int(item) in returned
    ]
    return measured(float(np.median(waits)), "stamps", n=len(waits)) if waits else NO_QUEUE


def _between(tasks: TaskSpans) -> Estimate:
    inside = whole = 0
    for lane in np.unique(tasks.lane):
        of_lane = tasks.lane == lane
        if of_lane.sum() > 1:
            inside += int(tasks.dur[of_lane].sum())
            whole += int(tasks.end[of_lane].max() - tasks.start[of_lane].min())
    # Tasks that share a thread, as coroutines do, overlap.
    return measured(max(0.0, 1 - inside / whole), "stamps") if whole else ONE_TASK


QUEUE_WAIT = Metric(
    name="queue_wait_ns",
    unit="ns",
    better="lower",
    needs=("spans",),
    valid_on=EVERYWHERE,
    summary="How long a task waited from the return of `submit` until it began.",
    method="Stamp at the beginning of the task - stamp after submit. Run: median of its tasks, all of which are "
    "submitted at once. Cell: median of its runs, bootstrap interval.",
    compute=compute_queue_wait,
)
SHARE = Metric(
    name="communication_share",
    unit="share",
    better="lower",
    needs=("spans",),
    valid_on=EVERYWHERE,
    summary="The part of the workers' time that lies between tasks: results on their way back, waiting for the next.",
    method="1 - task spans over the time from the beginning of the first to the end of the last task, summed over the "
    "workers. Cell: median of its runs, bootstrap interval.",
    compute=compute_share,
)
