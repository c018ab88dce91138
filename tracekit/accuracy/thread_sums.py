"""Sums over the tables of one run, by thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tracekit.accuracy.comparison import MS
from tracekit.accuracy.known_answers import KnownThread
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.metrics.methods import find_family
from tracekit.analysis.tables import Tables, records

_LEFT_NS = 20 * MS
"""A thread that lives so much longer than its window did something that it does not know of."""

Key: TypeAlias = tuple[int, int]
"""pid and tid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedThread:
    """One thread of the run, labelled with its name in the program where it has one."""

    key: Key
    label: str
    life_ns: float
    """0 where an end is not known."""


def sum_waits(tables: Tables, kind: str, method: str, *, window: tuple[int, int] | None = None) -> dict[Key, float]:
    """Sum the waits of one kind and method by thread, ns; with a `window`, only the part between its two stamps."""
    chosen = tables.waits[(tables.waits["kind"] == kind) & (tables.waits["method"] == method)]
    lengths = chosen["dur_ns"] if window is None else clip_durations(chosen, window)
    sums = chosen[["pid", "tid"]].assign(total=lengths).groupby(["pid", "tid"], as_index=False).sum()
    return {(row["pid"], row["tid"]): float(row["total"]) for row in records(sums)}


def select_threads(tables: Tables, metric: str, method: str) -> dict[Key, dict[str, Any]]:
    """The rows of a metric for threads, by one method, that have a number."""
    return {
        (row["pid"], row["tid"]): row
        for row in select_available(tables, metric, "thread")
        if find_family(row["method"]) == method
    }


def select_available(tables: Tables, metric: str, scope: str) -> list[dict[str, Any]]:
    """The rows of a metric that have a number, the best method of each place first."""
    chosen = tables.metrics[(tables.metrics["metric"] == metric) & (tables.metrics["scope"] == scope)]
    return [row for row in records(chosen) if row["quality"] != "unavailable"]


def clip_durations(frame: pd.DataFrame, window: tuple[int, int]) -> pd.Series[int]:
    """How much of each interval lies in the window, ns."""
    begins = frame["start_ns"].clip(lower=window[0])
    ends = (frame["start_ns"] + frame["dur_ns"]).clip(upper=window[1])
    return (ends - begins).clip(lower=0)


def find_life(seen: WatchedRun, thread: KnownThread) -> tuple[int, int] | None:
    """Beginning and end of a thread that ended with its window; None for one that lived on, or whose end is not known.

    What such a thread knows is about its whole life, as the metrics are.
    """
    threads = seen.tables.threads
    own = threads[(threads["pid"] == thread.pid) & (threads["tid"] == thread.tid)]
    for row in records(own):
        start_ns, end_ns = row["start_ns"], row["end_ns"]
        if start_ns is not None and end_ns is not None and end_ns - thread.end_ns <= _LEFT_NS:
            return start_ns, end_ns
    return None


def sum_inside(frame: pd.DataFrame, intervals: pd.DataFrame) -> float:
    """ns of the first frame's rows, which are disjoint, inside those of the second; both have start_ns and dur_ns."""
    starts, lengths = (frame.sort_values("start_ns")[name].to_numpy("int64") for name in ("start_ns", "dur_ns"))
    before = np.append(0, np.cumsum(lengths))

    def covered(until: Array) -> Array:
        """ns of the rows before each of these moments."""
        last = np.searchsorted(starts, until, side="right")
        found: Array = before[last] - np.maximum(0, np.append(0, starts + lengths)[last] - until)
        return found

    begins = intervals["start_ns"].to_numpy("int64")
    return float((covered(begins + intervals["dur_ns"].to_numpy("int64")) - covered(begins)).sum())


def select_sched(tables: Tables, state: str, key: Key) -> pd.DataFrame:
    """The rows of `sched` of one thread in this state."""
    sched = tables.sched
    return sched[(sched["state"] == state) & (sched["pid"] == key[0]) & (sched["tid"] == key[1])]


def select_window(frame: pd.DataFrame, pid: int, tid: int, window: tuple[int, int], stamp: str) -> pd.DataFrame:
    """Select the rows of one thread whose column `stamp` lies in the window."""
    return frame[
        (frame["pid"] == pid) & (frame["tid"] == tid) & (frame[stamp] >= window[0]) & (frame[stamp] <= window[1])
    ]


def list_threads(seen: WatchedRun) -> list[ComparedThread]:
    """List the threads of the table, those that the program knows first."""
    names = {(thread.pid, thread.tid): thread.name for thread in seen.known.threads}
    found = []
    for row in records(seen.tables.threads):
        key = (row["pid"], row["tid"])
        known = row["start_ns"] is not None and row["end_ns"] is not None
        label = names.get(key) or f"thread {row['tid']} of {row['pid']}"
        found.append(ComparedThread(key=key, label=label, life_ns=row["end_ns"] - row["start_ns"] if known else 0.0))
    return sorted(found, key=lambda thread: (thread.key not in names, thread.key))


def estimate_error(seen: WatchedRun, key: Key) -> float:
    """ns by which a thread's own clock may be wrong about its waits: the machine's steal and its run-queue wait."""
    return float(seen.place.steal_ns or 0) + sum_run_queue_wait(seen, key)


def sum_queue_of_all(seen: WatchedRun) -> float:
    """The run-queue wait of all threads, ns: as long may a thread wait for another one that is ready and has no CPU."""
    return float(seen.tables.threads["run_queue_wait_ns"].sum())


def sum_missing(seen: WatchedRun, key: Key) -> float:
    """ns of the thread in which the kernel's events do not say what it did; 0 without them."""
    return 0.0 if seen.kernel is None else float(seen.kernel.missing.get(key[1], 0))


def sum_run_queue_wait(seen: WatchedRun, key: Key) -> float:
    """The thread's run-queue wait, ns; 0 where it is not known."""
    threads = seen.tables.threads
    return float(threads[(threads["pid"] == key[0]) & (threads["tid"] == key[1])]["run_queue_wait_ns"].sum())
