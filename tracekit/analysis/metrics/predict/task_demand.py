"""What the tasks of a thread pool need, task by task: CPU time and waits for the outside, as without a GIL.

CPU time is read at both ends of each task, on its own thread, in untraced runs. The waits are those that the wait probe
recorded within the task, in the run of the same round under light captures: reads and writes, poll, sleep, child
processes. Waits for the GIL and for locks are waits for other threads of the program and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import CellKey, CellRuns
from tracekit.analysis.metrics.gil.wait_bound import PURE_KINDS
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.recorded_intervals import RecordedWaits
from tracekit.analysis.metrics.task_spans import TaskSpans
from tracekit.analysis.tables import CELL, records
from tracekit.bundle.names import THREADS, WAITS, is_light, split_capture

BASE = THREADS
"""The model that predictions are made from."""

OUTSIDE = ("io-read", "io-write", "poll", "sleep", "child-wait")
"""Kinds of waits that processes would have as well."""

NO_WARMUP = "no warm-up run ended ok, where items and results are pickled"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDemand:
    """What the tasks of one run need: float64 arrays in item order, ns and bytes.

    cpu, waits   time on a CPU, and waiting for the outside
    busy         how many of them computed at a time in that run
    pickling     one row a task, four columns: dumps and loads of the item, dumps and loads of the result
    """

    cpu: Floats
    waits: Floats
    busy: float
    item_bytes: Floats
    result_bytes: Floats
    pickling: Floats


DemandByRound = Mapping[int, TaskDemand]
"""repeat -> what the tasks of that round need."""


def measure_demands(
    cells: Iterable[CellRuns],
    runs: Sequence[Mapping[str, Any]],
    task_spans: Mapping[str, TaskSpans],
    pickles: pd.DataFrame,
    outside: Mapping[str, Floats],
    other_threads: frozenset[str],
) -> dict[CellKey, DemandByRound | str]:
    """For each cell of threads that is no control: its demand by round, or why there is none.

    cells, runs     the untraced cells, and all runs
    pickles         the table
    outside         what `measure_outside_waits` found
    other_threads   runs with threads that the model did not start
    """
    by_id = {run["run_id"]: run for run in runs}
    found: dict[CellKey, DemandByRound | str] = {}
    for cell in cells:
        if cell.model != BASE or cell.control:
            continue
        pickled = _read_pickles(pickles, cell, by_id)
        waits = {
            run["repeat"]: outside[run["run_id"]]
            for run in runs
            if run["run_id"] in outside and all(run[name] == cell.columns[name] for name in CELL if name != "capture")
        }
        if isinstance(pickled, str):
            found[cell.key] = pickled
        elif other_threads.intersection(cell.runs):
            found[cell.key] = "the process has threads that are not the model's, and every process would have them"
        elif not waits and cell.kind not in PURE_KINDS:
            kind = cell.kind or "unknown"
            found[cell.key] = (
                f"tasks of kind {kind} also wait for other things than the GIL, and no capture recorded that"
            )
        else:
            repeats = {run_id: by_id[run_id]["repeat"] for run_id in cell.runs}
            demands = _demands(repeats, task_spans, pickled, waits)
            found[cell.key] = demands or "no run of this cell tells the CPU time of each of its tasks"
    return found


def _demands(
    repeats: Mapping[str, int], task_spans: Mapping[str, TaskSpans], pickled: Floats, waits: Mapping[int, Floats]
) -> dict[int, TaskDemand]:
    # Of a round whose waits were not recorded: item by item the median of the others.
    typical = np.median(np.vstack(list(waits.values())), axis=0) if waits else np.zeros(len(pickled))
    found: dict[int, TaskDemand] = {}
    for run_id, repeat in repeats.items():
        tasks = task_spans.get(run_id)
        if tasks is None or len(tasks.start) != len(pickled) or (tasks.cpu < 0).any():
            continue
        order = np.argsort(tasks.item, kind="stable")
        found[repeat] = TaskDemand(
            cpu=tasks.cpu[order].astype(np.float64),
            waits=waits.get(repeat, typical),
            busy=_count_busy(tasks),
            item_bytes=pickled[:, 0],
            result_bytes=pickled[:, 1],
            pickling=pickled[:, 2:],
        )
    return found


def _count_busy(tasks: TaskSpans) -> float:
    """Tasks that were on a CPU at a time, from the first one's beginning to the last one's end."""
    whole = float(tasks.end.max() - tasks.start.min())
    return float(tasks.cpu.sum()) / whole if whole else 1.0


def _read_pickles(pickles: pd.DataFrame, cell: CellRuns, runs: Mapping[str, Mapping[str, Any]]) -> Floats | str:
    """One row per item of the warm-up run: its bytes, its result's, and the four times; or why there are none."""
    if not cell.warmups:
        return NO_WARMUP
    rows = pickles[pickles["run_id"] == cell.warmups[-1]].sort_values("item")
    failed = [row for row in records(rows) if row["error"] is not None]
    if failed:
        return f"item {failed[0]['item']} or its result cannot go to another process: {failed[0]['error']}"
    if len(rows) == 0 or len(rows) != runs[cell.warmups[-1]]["items"]:
        return "what items and results take to pickle was not counted in the warm-up run"
    names = [
        "item_bytes",
        "result_bytes",
        "item_dumps_ns",
        "item_loads_ns",
        "result_dumps_ns",
        "result_loads_ns",
    ]
    found: Floats = rows[names].to_numpy(np.float64)
    return found


def measure_outside_waits(
    recorded: RecordedWaits, spans: pd.DataFrame, usable_runs: Iterable[Mapping[str, Any]]
) -> dict[str, Floats]:
    """Per run that the wait probe watched, under light captures only: ns that each item's task waited for the outside,
    in item order."""
    watched = [
        run["run_id"] for run in usable_runs if WAITS in split_capture(run["capture"]) and is_light(run["capture"])
    ]
    spans = spans[(spans["name"] == "task") & spans["run_id"].isin(watched)]
    spans = spans.dropna(subset=["item"]).reset_index(drop=True)
    if spans.empty:
        return {}
    tasks = recorded.timeline.lay_rows(spans)
    waits = recorded.select(WAITS_PROBE, *OUTSIDE)
    # A thread does one task at a time, so a wait lies in the last task that began before it did, or in none.
    place = np.searchsorted(tasks.starts, waits.starts, side="right") - 1
    inside = (place >= 0) & (waits.starts < tasks.ends[np.maximum(place, 0)])
    lengths = np.minimum(waits.ends, tasks.ends[np.maximum(place, 0)]) - waits.starts
    sums = np.bincount(place[inside], weights=lengths[inside], minlength=len(tasks.starts))
    by_row = np.zeros(len(spans))
    by_row[tasks.rows] = sums
    frame: Any = spans.assign(waited=by_row).sort_values(["run_id", "item"], kind="stable")
    return {str(run_id): rows["waited"].to_numpy(np.float64) for run_id, rows in frame.groupby("run_id")}
