"""Counters of processes and threads: the change between two readings, and totals over the processes of a run.

The main process is read at both ends of the run window: its share is the difference. A worker process is born
inside that window with its counters at zero, so its last reading is all of it, interpreter start and imports
included: a start-up that the model chose is part of the model's cost. `Since.WINDOW` takes the difference
there as well, which leaves out what came before the worker's first instruction.

A thread that was born after the first reading (every worker thread) has no `start` and counts from zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum

import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, Place, measured, unavailable
from tracekit.analysis.tables import Tables, records

MEASURED_ROLES = ("main", "worker")


class Since(Enum):
    """The moment from which a worker process's counters count."""

    BIRTH = "birth"
    WINDOW = "window"


def compute_changes(tables: Tables, counter: str, scope: str, since: Since = Since.BIRTH) -> pd.DataFrame:
    """One row per run, process (and thread): run_id, pid, tid (Int64), role, source (text), value (float64).

    `value` is NaN when the last reading was not taken (the process was killed), when a process lacks the first one, or
    when the counter went backwards.
    """
    found = tables.counters
    found = found[(found["counter"] == counter) & (found["scope"] == scope) & found["at"].notna()]
    found = found.sort_values("ts_ns", kind="stable")
    # Plain loops: of some hundred readings pandas' group-bys and merges took a quarter of the time of all metrics.
    roles: dict[Place, str] = {}
    for run_id, pid, role in zip(*(tables.processes[name].tolist() for name in ("run_id", "pid", "role")), strict=True):
        roles.setdefault((run_id, pid), role)
    keys = ["run_id", "pid", "tid"] if scope == "thread" else ["run_id", "pid"]
    found = found.dropna(subset=keys)
    # A process is read once per end; should a stream hold more, the widest span is the true one.
    start: dict[Place, float] = {}
    end: dict[Place, float] = {}
    source: dict[Place, str | None] = {}
    places = zip(*(found[key].tolist() for key in keys), strict=True)
    readings = zip(*(found[name].tolist() for name in ("at", "value", "source")), strict=True)
    for place, (at, value, read_from) in zip(places, readings, strict=True):
        source[place] = read_from if isinstance(read_from, str) else source.get(place)
        if at == "start" and not math.isnan(value):
            start.setdefault(place, value)
        elif at == "end" and not math.isnan(value):
            end[place] = value
    rows = sorted(source)
    values = []
    for place in rows:
        from_zero = scope == "thread" and place not in start
        from_zero = from_zero or (since is Since.BIRTH and roles.get(place[:2]) == "worker")
        change = end.get(place, math.nan) - (0.0 if from_zero else start.get(place, math.nan))
        values.append(math.nan if change < 0 else change)
    return pd.DataFrame(
        {
            "run_id": pd.array([place[0] for place in rows], dtype="str"),
            "pid": pd.array([place[1] for place in rows], dtype="Int64"),
            "tid": pd.array([place[2] if len(place) == 3 else None for place in rows], dtype="Int64"),
            "role": pd.array([roles.get(place[:2]) for place in rows], dtype="str"),
            "source": pd.array([source[place] for place in rows], dtype="str"),
            "value": pd.array(values, dtype="float64"),
        },
        copy=False,
    )


def compute_machine_changes(tables: Tables, counter: str) -> pd.DataFrame:
    """The same for a counter of the whole machine, as the main process read it.

    One row per run: run_id, value (float64, NaN as above) and the last `reading` itself.
    """
    frame = compute_changes(tables, counter, "machine", Since.WINDOW)
    found = tables.counters
    last = found[(found["counter"] == counter) & (found["scope"] == "machine") & (found["at"] == "end")]
    last = last.rename(columns={"value": "reading"})[["run_id", "pid", "reading"]].drop_duplicates(["run_id", "pid"])
    frame = frame[frame["role"] == "main"].merge(last, on=["run_id", "pid"], how="left")
    return frame[["run_id", "value", "reading"]]


def measure_reading_gaps(counters: pd.DataFrame) -> dict[str, float]:
    """Per run: ns of tracekit's own readings between the wall stamps and the CPU readings of one task.

    The main process measures it before the work begins, with tasks that do nothing: `reading_gap_ns` is the median of
    their wall - CPU. A run that did not record it is not in the result.
    """
    found = counters[
        (counters["counter"] == "reading_gap_ns") & (counters["scope"] == "process") & (counters["value"] >= 0)
    ]
    medians = found.groupby("run_id")["value"].median()
    return {str(run_id): float(value) for run_id, value in medians.items()}


def total_processes(
    processes: Mapping[str, Sequence[Place]], found: pd.DataFrame, *, missing: str, method: str | None = None
) -> tuple[dict[str, Estimate], dict[Place, Estimate]]:
    """Per run and per process, from one row per process (run_id, pid, source, value).

    `processes` are the main and worker processes of each run. A run's total is only given when each of them has a
    value: a sum that silently lacks a worker would be the most flattering number of the report. `missing` says why
    there may be none at all; `method` is the counters' source unless given.
    """
    known: dict[Place, tuple[float, str]] = {}
    for row in records(found):
        if row["value"] is not None:
            known[row["run_id"], row["pid"]] = (row["value"], method or row["source"] or "counter")
    places: dict[Place, Estimate] = {}
    runs: dict[str, Estimate] = {}
    for run_id, of_run in processes.items():
        lacking = [place for place in of_run if place not in known]
        for place in of_run:
            places[place] = measured(*known[place]) if place in known else unavailable(missing)
        if len(lacking) == len(of_run):
            runs[run_id] = unavailable(missing)
        elif lacking:
            runs[run_id] = unavailable(f"{len(lacking)} of {len(of_run)} processes gave no reading")
        else:
            methods = " + ".join(sorted({known[place][1] for place in of_run}))
            runs[run_id] = measured(sum(known[place][0] for place in of_run), methods, n=len(of_run))
    return runs, places
