"""Which time of a thread a ledger has to account for: its tasks, or its whole lifetime.

Where tasks say when there is work, only they are cut into parts; what lies outside is idle, CPU time spent there
included, but for GIL waits. Of threads without tasks, of programs and of coroutines (whose CPU times contain each
other's) the whole lifetime is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, IntervalTimeline, Ints
from tracekit.analysis.metrics.lifetimes import KEYS


class AccountableTime(NamedTuple):
    """Per thread (lane): the time to account for. All numbers in ns, int64; -1 for what is not known.

    tasks    all tasks on the timeline, disjoint
    whole    bool: the whole lifetime is to be accounted for
    length   of the time to account for
    cpu      on a CPU within it
    queue    run-queue wait, of the whole life where it was not counted in tasks
    gap      our own readings at the ends of tasks
    unread   after the last reading of cpu and queue, because the thread was killed
    """

    tasks: Intervals
    whole: Bools
    length: Ints
    cpu: Ints
    queue: Ints
    gap: Ints
    unread: Ints


def compute_accountable(
    threads: pd.DataFrame,
    timeline: IntervalTimeline,
    tasks: Intervals,
    task_time: pd.DataFrame,
    cpu_changes: pd.DataFrame,
    queue_changes: pd.DataFrame,
) -> AccountableTime:
    """For each thread, rows of the lifetimes table with the lanes of `timeline`.

    `cpu_changes` and `queue_changes`: CPU time and run-queue wait of each thread within the run window.
    """
    in_tasks = timeline.sum_by_lane(tasks.starts, tasks.lengths)
    life = timeline.lengths
    per_thread = threads[KEYS].merge(task_time.drop_duplicates(KEYS), on=KEYS, how="left")
    overlap = per_thread["overlap"].fillna(False).to_numpy(bool)
    idle_worker = (per_thread["tasks"].isna() & threads["counts"] & ~threads["program"]).to_numpy(bool)
    # Two threads that had the same id share what was recorded by it.
    shared = threads.duplicated(KEYS, keep=False).to_numpy(bool)
    whole = (per_thread["tasks"].isna().to_numpy(bool) | overlap | shared) & ~idle_worker
    of_life = _counted(threads, "cpu_ns", cpu_changes)
    cpu = np.where(whole, of_life, np.where(idle_worker, 0, _whole_numbers(per_thread["cpu"])))
    queue_in_tasks = _whole_numbers(per_thread["queue"])
    of_life_queue = _counted(threads, "run_queue_wait_ns", queue_changes)
    queue = np.where(idle_worker, 0, np.where(whole | (queue_in_tasks < 0), of_life_queue, queue_in_tasks))
    gap = np.where(whole, 0, np.maximum(_whole_numbers(per_thread["gap"]), 0))
    unread = np.where(whole, threads["unread_ns"].to_numpy(np.int64), 0)
    return AccountableTime(tasks, whole, np.where(whole, life, in_tasks), cpu, queue, gap, unread)


def _counted(threads: pd.DataFrame, counter: str, changes: pd.DataFrame) -> Ints:
    """A counter of each thread: over the run window where its ends were read, else of the whole life as recorded."""
    read = changes.drop_duplicates(KEYS)[[*KEYS, "value"]]
    in_window = _whole_numbers(threads[KEYS].merge(read, on=KEYS, how="left")["value"])
    recorded: Ints = threads[counter].fillna(-1).to_numpy(np.int64)
    # A worker's own record ends with the worker, the reading with the window.
    worker = (threads["role"] == "worker").fillna(False).to_numpy(bool)
    first, second = np.where(worker, recorded, in_window), np.where(worker, in_window, recorded)
    found: Ints = np.where(first >= 0, first, second)
    return found


def _whole_numbers(series: pd.Series[float]) -> Ints:
    found: Ints = series.fillna(-1).to_numpy(np.float64).astype(np.int64)
    return found
