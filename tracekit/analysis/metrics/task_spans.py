"""The task spans of runs, as arrays, and how long the tasks of each thread took."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.tables import records


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpans:
    """The task spans of one run, by start: int64 arrays of equal length, ns.

    lane        a number for each thread
    item, cpu   -1 where not known
    """

    lane: Ints
    item: Ints
    start: Ints
    dur: Ints
    cpu: Ints

    @property
    def end(self) -> Ints:
        return self.start + self.dur


def group_task_spans(spans: pd.DataFrame, usable: Collection[str]) -> dict[str, TaskSpans]:
    """The task spans of each of the runs `usable` that has any."""
    spans = spans[(spans["name"] == "task") & spans["run_id"].isin(list(usable))]
    spans = spans.dropna(subset=["start_ns", "dur_ns"]).sort_values("start_ns", kind="stable")
    lane = spans.groupby(["pid", "tid"], dropna=False).ngroup().to_numpy(np.int64)
    names = ("item", "start_ns", "dur_ns", "cpu_ns")
    columns = [lane, *(spans[name].fillna(-1).to_numpy(np.int64) for name in names)]
    codes, run_ids = pd.factorize(spans["run_id"])
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(run_ids) + 1))
    found = {}
    for number, run_id in enumerate(run_ids):
        rows = order[edges[number] : edges[number + 1]]
        of_lane, item, start, dur, cpu = (column[rows] for column in columns)
        found[str(run_id)] = TaskSpans(lane=of_lane, item=item, start=start, dur=dur, cpu=cpu)
    return found


def measure_task_time(spans: pd.DataFrame, reading_gaps: Mapping[str, float], queue: pd.DataFrame) -> pd.DataFrame:
    """One row per thread that did a task.

    run_id, pid, tid
    tasks     int64, how many
    wall      float64, ns covered by its task spans
    cpu       float64, ns on a CPU within them; NaN when a span lacks it
    overlap   bool: spans of the thread overlap, as those of coroutines do, so that their CPU times contain each other's
    gap       float64, ns of our own readings in `wall` that are not in `cpu`; 0 where the run did not measure them
    queue     float64, ns ready but not running over its whole life; NaN where the system does not count them

    `reading_gaps` is ns a task by run, `queue` the changes of run_queue_wait_ns by thread.
    """
    tasks = spans[spans["name"] == "task"].sort_values([*KEYS, "start_ns", "dur_ns"], kind="stable")
    # Integers throughout: a stamp after 104 days of uptime no longer fits a float's 53 bits.
    end = tasks["start_ns"] + tasks["dur_ns"]
    covered_until = end.groupby([tasks[key] for key in KEYS]).cummax()
    before = covered_until.groupby([tasks[key] for key in KEYS]).shift()
    hidden = (before - tasks["start_ns"]).clip(lower=0).fillna(0)
    tasks = tasks.assign(
        alone=(tasks["dur_ns"] - hidden).clip(lower=0), overlaps=hidden > 0, no_cpu=tasks["cpu_ns"].isna()
    )
    groups = tasks.groupby(KEYS)
    frame = pd.DataFrame(
        {
            "tasks": groups.size(),
            "wall": groups["alone"].sum().astype("float64"),
            "cpu": groups["cpu_ns"].sum().astype("float64"),
            "overlap": groups["overlaps"].any(),
            "no_cpu": groups["no_cpu"].any(),
        }
    ).reset_index()
    frame["gap"] = frame["tasks"] * frame["run_id"].map(dict(reading_gaps)).astype("float64").fillna(0.0)
    frame.loc[frame["no_cpu"].astype(bool), "cpu"] = float("nan")
    queue = queue.rename(columns={"value": "queue"})
    return frame.drop(columns="no_cpu").merge(queue[[*KEYS, "queue"]], on=KEYS, how="left")


def find_submit_returns(spans: pd.DataFrame) -> dict[str, dict[int, int]]:
    """Per run: item -> when the call that submitted it returned, ns."""
    submits = spans[spans["name"] == "submit"].dropna(subset=["item", "start_ns", "dur_ns"])
    found: dict[str, dict[int, int]] = {}
    for row in records(submits[["run_id", "item", "start_ns", "dur_ns"]]):
        found.setdefault(row["run_id"], {})[row["item"]] = row["start_ns"] + row["dur_ns"]
    return found
