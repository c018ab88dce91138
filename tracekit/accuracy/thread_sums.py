"""Sums over the tables of one run, by thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.tables import Tables, records

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


def clip_durations(frame: pd.DataFrame, window: tuple[int, int]) -> pd.Series[int]:
    """How much of each interval lies in the window, ns."""
    begins = frame["start_ns"].clip(lower=window[0])
    ends = (frame["start_ns"] + frame["dur_ns"]).clip(upper=window[1])
    return (ends - begins).clip(lower=0)


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


def sum_run_queue_wait(seen: WatchedRun, key: Key) -> float:
    """The thread's run-queue wait, ns; 0 where it is not known."""
    threads = seen.tables.threads
    return float(threads[(threads["pid"] == key[0]) & (threads["tid"] == key[1])]["run_queue_wait_ns"].sum())
