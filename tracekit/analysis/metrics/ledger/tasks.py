"""Which part of a thread's life a ledger has to explain: its tasks, or all of it.

Where tasks say when there is work, only they are cut into parts; what lies outside is idle, CPU time spent there
included, but for GIL waits. Of threads without tasks, of programs and of coroutines (whose CPU times contain each
other's) the whole life is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.counter_changes import Since, changes
from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Ints, first_wins, ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.recorded_waits import SeenWaits
from tracekit.analysis.metrics.task_time import task_time
from tracekit.analysis.tables import Tables


class Explained(NamedTuple):
    """Per thread (lane): what there is to explain. Numbers in ns; -1 for what is not known."""

    tasks: Intervals
    """All tasks on the line, disjoint."""
    whole: Bools
    """The whole life is to be explained."""
    length: Ints
    """Of the part to be explained."""
    cpu: Ints
    queue: Ints
    """Run-queue wait of the whole life."""
    gap: Ints
    """Our own readings at the ends of tasks."""


def explained(tables: Tables, found: SeenWaits) -> Explained:
    """For each thread of `found`."""
    lanes, threads = found.lanes, found.threads
    spans = tables.spans[(tables.spans["name"] == "task")].reset_index(drop=True)
    starts = ints(spans["start_ns"])
    tasks = first_wins(lanes.lay(spans, starts, starts + ints(spans["dur_ns"])))
    in_tasks = lanes.sums(tasks.starts, tasks.lengths)
    life = lanes.lengths
    per_thread = threads[KEYS].merge(task_time(tables).drop_duplicates(KEYS), on=KEYS, how="left")
    overlap = per_thread["overlap"].fillna(False).to_numpy(bool)
    idle_worker = (per_thread["tasks"].isna() & threads["counts"] & ~threads["program"]).to_numpy(bool)
    # Two threads that had the same id share what was recorded by it.
    shared = threads.duplicated(KEYS, keep=False).to_numpy(bool)
    whole = (per_thread["tasks"].isna().to_numpy(bool) | overlap | shared) & ~idle_worker
    of_life = _counted(tables, threads, "cpu_ns")
    cpu = np.where(whole, of_life, np.where(idle_worker, 0, _whole_numbers(per_thread["cpu"])))
    queue_in_tasks = _whole_numbers(per_thread["queue"])
    of_life_queue = _counted(tables, threads, "run_queue_wait_ns")
    queue = np.where(idle_worker, 0, np.where(whole | (queue_in_tasks < 0), of_life_queue, queue_in_tasks))
    gap = np.where(whole, 0, np.maximum(_whole_numbers(per_thread["gap"]), 0))
    return Explained(tasks, whole, np.where(whole, life, in_tasks), cpu, queue, gap)


def _counted(tables: Tables, threads: pd.DataFrame, counter: str) -> Ints:
    """A counter of each thread: over the run window where its ends were read, else of the whole life as recorded."""
    read = changes(tables, counter, "thread", Since.WINDOW).drop_duplicates(KEYS)[[*KEYS, "value"]]
    in_window = _whole_numbers(threads[KEYS].merge(read, on=KEYS, how="left")["value"])
    recorded: Ints = threads[counter].fillna(-1).to_numpy(np.int64)
    # A worker's own record reaches to its end, the reading only to the end of the window.
    worker = (threads["role"] == "worker").fillna(False).to_numpy(bool)
    first, second = np.where(worker, recorded, in_window), np.where(worker, in_window, recorded)
    found: Ints = np.where(first >= 0, first, second)
    return found


def _whole_numbers(series: pd.Series[float]) -> Ints:
    found: Ints = series.fillna(-1).to_numpy(np.float64).astype(np.int64)
    return found
