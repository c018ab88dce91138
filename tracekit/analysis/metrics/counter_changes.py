"""Counters as what happened between two readings.

The main process is read at both ends of the run window: its share is the difference. A worker process is born
inside that window with its counters at zero, so its last reading is all of it, interpreter start and imports
included: a start-up that the model chose is part of the model's bill. `Since.WINDOW` takes the difference
there as well, which leaves out what came before the worker's first instruction.

A thread that was born after the first reading (every worker thread) has no `start` and counts from zero.
"""

from __future__ import annotations

from enum import Enum

import pandas as pd

from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import Tables


class Since(Enum):
    """From when on a worker process's counters count."""

    BIRTH = "birth"
    WINDOW = "window"


@once
def changes(tables: Tables, counter: str, scope: str, since: Since = Since.BIRTH) -> pd.DataFrame:
    """One row per run, process (and thread): run_id, pid, tid, role, source, value.

    `value` is missing (NaN) when the last reading was not taken (the process was killed), when a process
    lacks the first one, or when the counter went backwards.
    """
    found = tables.counters
    found = found[(found["counter"] == counter) & (found["scope"] == scope) & found["at"].notna()]
    keys = ["run_id", "pid", "tid"] if scope == "thread" else ["run_id", "pid"]
    # A process is read once per end; should a stream hold more, the widest span is the true one.
    start = found[found["at"] == "start"].sort_values("ts_ns", kind="stable").groupby(keys)["value"].first()
    end = found[found["at"] == "end"].sort_values("ts_ns", kind="stable").groupby(keys)["value"].last()
    source = found.sort_values("ts_ns", kind="stable").groupby(keys)["source"].last()
    frame = pd.DataFrame({"start": start, "end": end, "source": source}).reset_index()
    if "tid" not in frame:
        frame["tid"] = pd.Series(pd.NA, index=frame.index, dtype="Int64")
    roles = tables.processes[["run_id", "pid", "role"]].drop_duplicates(["run_id", "pid"])
    frame = frame.merge(roles, on=["run_id", "pid"], how="left")
    from_zero = frame["start"].isna() if scope == "thread" else pd.Series(False, index=frame.index)
    if since is Since.BIRTH:
        from_zero = from_zero | (frame["role"] == "worker").fillna(False)
    frame["value"] = frame["end"] - frame["start"].where(~from_zero, 0.0)
    frame.loc[frame["value"] < 0, "value"] = float("nan")
    return frame[["run_id", "pid", "tid", "role", "source", "value"]]


def reading_gaps(tables: Tables) -> dict[str, float]:
    """Per run: how many ns of tracekit's own readings lie between the wall stamps and the CPU readings of one
    task.

    The main process finds out before the work begins, with tasks that do nothing: `reading_gap_ns` is the
    median of their wall - CPU. A run that did not record it (older than the counter) is not in the result.
    """
    found = tables.counters
    found = found[(found["counter"] == "reading_gap_ns") & (found["scope"] == "process") & (found["value"] >= 0)]
    medians = found.groupby("run_id")["value"].median()
    return {str(run_id): float(value) for run_id, value in medians.items()}


@once
def machine_changes(tables: Tables, counter: str) -> pd.DataFrame:
    """The same for a counter of the whole machine, as the main process read it: run_id, value and the last
    `reading`.
    """
    frame = changes(tables, counter, "machine", Since.WINDOW)
    found = tables.counters
    last = found[(found["counter"] == counter) & (found["scope"] == "machine") & (found["at"] == "end")]
    last = last.rename(columns={"value": "reading"})[["run_id", "pid", "reading"]].drop_duplicates(["run_id", "pid"])
    frame = frame[frame["role"] == "main"].merge(last, on=["run_id", "pid"], how="left")
    return frame[["run_id", "value", "reading"]]
