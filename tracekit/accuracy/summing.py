"""Sums over the tables of one run, per thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from tracekit.accuracy.watching import Seen
from tracekit.analysis.tables import Tables, records

Key: TypeAlias = tuple[int, int]
"""pid and tid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One thread of the run, with the program's name for it where it has one."""

    key: Key
    label: str
    life_ns: float
    """0 where an end is not known."""


def waited(tables: Tables, kind: str, method: str, *, window: tuple[int, int] | None = None) -> dict[Key, float]:
    """ns per thread of that kind as that method saw it; of a `window` what lies between its two stamps."""
    chosen = tables.waits[(tables.waits["kind"] == kind) & (tables.waits["method"] == method)]
    lengths = chosen["dur_ns"] if window is None else clipped(chosen, window)
    sums = chosen[["pid", "tid"]].assign(total=lengths).groupby(["pid", "tid"], as_index=False).sum()
    return {(row["pid"], row["tid"]): float(row["total"]) for row in records(sums)}


def clipped(frame: pd.DataFrame, window: tuple[int, int]) -> pd.Series[int]:
    """How much of each interval, ns, lies between the two stamps."""
    begins = frame["start_ns"].clip(lower=window[0])
    ends = (frame["start_ns"] + frame["dur_ns"]).clip(upper=window[1])
    return (ends - begins).clip(lower=0)


def in_window(frame: pd.DataFrame, pid: int, tid: int, window: tuple[int, int], stamp: str) -> pd.DataFrame:
    """Rows of that thread whose `stamp` lies between the two."""
    return frame[
        (frame["pid"] == pid) & (frame["tid"] == tid) & (frame[stamp] >= window[0]) & (frame[stamp] <= window[1])
    ]


def threads_of(seen: Seen) -> list[Thread]:
    """Every thread that is in the table, the program's first."""
    names = {(thread.pid, thread.tid): thread.name for thread in seen.known.threads}
    found = []
    for row in records(seen.tables.threads):
        key = (row["pid"], row["tid"])
        known = row["start_ns"] is not None and row["end_ns"] is not None
        label = names.get(key) or f"thread {row['tid']} of {row['pid']}"
        found.append(Thread(key=key, label=label, life_ns=row["end_ns"] - row["start_ns"] if known else 0.0))
    return sorted(found, key=lambda thread: (thread.key not in names, thread.key))


def excuse(seen: Seen, key: Key) -> float:
    """ns by which a thread's own idea of its waits may be wrong: all steal of the machine, and its wait for a CPU."""
    return float(seen.place.steal_ns or 0) + queued(seen, key)


def queued(seen: Seen, key: Key) -> float:
    """ns that the thread was ready and waited for a CPU; 0 where it is not known."""
    threads = seen.tables.threads
    return float(threads[(threads["pid"] == key[0]) & (threads["tid"] == key[1])]["run_queue_wait_ns"].sum())
