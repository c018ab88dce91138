"""What the tasks of a thread pool need: CPU time and waits for the outside, task by task, as no GIL would have it.

CPU time is read at both ends of each task, on its own thread, in untraced runs. The waits are those that the wait probe
saw within the task, in the run of the same round that it watched: reads and writes, poll, sleep, child processes. Waits
for the GIL and for locks are waits for other threads of the program and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.analysis.metrics.cells.cell_runs import Cell, usable_runs
from tracekit.analysis.metrics.gil.wait_bound import PURE_KINDS, with_other_threads
from tracekit.analysis.metrics.interval_timeline import ints
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import seen_waits
from tracekit.analysis.metrics.task_spans import Tasks, task_spans
from tracekit.analysis.tables import CELL, Tables, records
from tracekit.bundle.names import WAITS, split_capture

OUTSIDE = ("io-read", "io-write", "poll", "sleep", "child-wait")
"""Kinds of waits that processes would have as well."""

NO_WARMUP = "no warm-up run ended ok, where items and results are pickled"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Of all tasks of one run, in item order, ns and bytes.

    busy       how many of them computed at a time when that was seen
    pickling   four columns: dumps and loads of the item, dumps and loads of the result
    """

    cpu: Floats
    waits: Floats
    busy: float
    item_bytes: Floats
    result_bytes: Floats
    pickling: Floats


def demands(tables: Tables, cell: Cell) -> dict[int, Demand] | str:
    """repeat -> demand, of an untraced cell of threads; or why there are none."""
    runs = {run["run_id"]: run for run in usable_runs(tables)}
    pickled = _pickled(tables, cell)
    if isinstance(pickled, str):
        return pickled
    if with_other_threads(tables).intersection(cell.runs):
        return "the process has threads that are not the model's, and every process would have them"
    waits = _waits_by_round(tables, cell)
    if not waits and cell.kind not in PURE_KINDS:
        return f"tasks of kind {cell.kind or 'unknown'} also wait for other things than the GIL, and nobody watched"
    typical = _typical(list(waits.values()), len(pickled))
    found: dict[int, Demand] = {}
    for run_id in cell.runs:
        tasks = task_spans(tables).get(run_id)
        if tasks is None or len(tasks.start) != len(pickled) or (tasks.cpu < 0).any():
            continue
        order = np.argsort(tasks.item, kind="stable")
        repeat = runs[run_id]["repeat"]
        found[repeat] = Demand(
            cpu=tasks.cpu[order].astype(np.float64),
            waits=waits.get(repeat, typical),
            busy=_busy(tasks),
            item_bytes=pickled[:, 0],
            result_bytes=pickled[:, 1],
            pickling=pickled[:, 2:],
        )
    return found or "no run of this cell tells the CPU time of each of its tasks"


def _busy(tasks: Tasks) -> float:
    """Tasks that were on a CPU at a time, from the first one's beginning to the last one's end."""
    whole = float(tasks.end.max() - tasks.start.min())
    return float(tasks.cpu.sum()) / whole if whole else 1.0


def _pickled(tables: Tables, cell: Cell) -> Floats | str:
    """A line per item: its bytes, its result's, and the four times; of the warm-up run."""
    if not cell.warmups:
        return NO_WARMUP
    rows = tables.pickles[tables.pickles["run_id"] == cell.warmups[-1]].sort_values("item")
    runs = {run["run_id"]: run for run in records(tables.runs[tables.runs["run_id"] == cell.warmups[-1]])}
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


def _waits_by_round(tables: Tables, cell: Cell) -> dict[int, Floats]:
    """repeat -> ns that each item waited for the outside, of the runs of this cell that the probe watched."""
    whole = _outside(tables)
    found: dict[int, Floats] = {}
    for run in usable_runs(tables):
        same = all(run[name] == cell.columns[name] for name in CELL if name != "capture")
        if same and WAITS in split_capture(run["capture"]) and run["run_id"] in whole:
            found[run["repeat"]] = whole[run["run_id"]]
    return found


def _typical(waits: list[Floats], items: int) -> Floats:
    """Item by item the median of the rounds that were watched."""
    return np.median(np.vstack(waits), axis=0) if waits else np.zeros(items)


@once
def _outside(tables: Tables) -> dict[str, Floats]:
    """Per watched run: ns that each item's task waited for the outside, in item order."""
    seen = seen_waits(tables)
    spans = tables.spans[tables.spans["name"] == "task"].dropna(subset=["item"]).reset_index(drop=True)
    watched = {run["run_id"] for run in usable_runs(tables) if WAITS in split_capture(run["capture"])}
    spans = spans[spans["run_id"].isin(watched)].reset_index(drop=True)
    starts = ints(spans["start_ns"])
    on_line = seen.lanes.lay(spans, starts, starts + ints(spans["dur_ns"]))
    waits = seen.of(WAITS_PROBE, *OUTSIDE)
    # A thread does one task at a time, so a wait lies in the last task that began before it did, or in none.
    place = np.searchsorted(on_line.starts, waits.starts, side="right") - 1
    inside = (place >= 0) & (waits.starts < on_line.ends[np.maximum(place, 0)])
    lengths = np.minimum(waits.ends, on_line.ends[np.maximum(place, 0)]) - waits.starts
    sums = np.bincount(place[inside], weights=lengths[inside], minlength=len(on_line.starts))
    by_row = np.zeros(len(spans))
    by_row[on_line.rows] = sums
    frame: Any = spans.assign(waited=by_row).sort_values(["run_id", "item"], kind="stable")
    return {str(run_id): rows["waited"].to_numpy(np.float64) for run_id, rows in frame.groupby("run_id")}
