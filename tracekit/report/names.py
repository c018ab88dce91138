"""What a reader calls the processes and threads of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from tracekit.metrics.cells import records
from tracekit.tables import Tables

_COMM = 15
"""Bytes of a thread's name that Linux keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`processes` by pid, `threads` by (pid, tid); a thread's begins with its process where it would not tell it
    from those of others.
    """

    processes: Mapping[int, str]
    threads: Mapping[tuple[int, int], str]
    functions: Mapping[tuple[int, int], str]
    """Where each thread was most of the time that somebody saw: waiting for the GIL or holding it."""

    def process(self, pid: int) -> str:
        """`main`, `worker 2`, `process 4711`."""
        return self.processes.get(pid, f"process {pid}")

    def thread(self, pid: int | None, tid: int | None) -> str:
        """`worker 2`, `main thread`, `thread 4712`."""
        if tid is None:
            return "not known"
        return self.threads.get((pid or 0, tid), f"thread {tid}")


def names_of(tables: Tables, run_id: str) -> Names:
    """The names of everybody in the run."""
    processes = {row["pid"]: row for row in records(tables.processes[tables.processes["run_id"] == run_id])}
    threads = {
        (row["pid"], row["tid"]): row
        for row in records(tables.threads[tables.threads["run_id"] == run_id])
        if row["tid"] is not None
    }
    called = {pid: _process(row) for pid, row in processes.items()}
    return Names(
        processes=called,
        threads=_threads(threads, processes, called),
        functions=_functions(tables, run_id),
    )


def _process(row: Mapping[str, Any]) -> str:
    if row["role"] == "main":
        return "main"
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    program = PurePath(row["executable"] or "").name
    return f"{'process' if program.startswith('python') or not program else program} {row['pid']}"


def _threads(
    threads: Mapping[tuple[int, int], Mapping[str, Any]],
    processes: Mapping[int, Mapping[str, Any]],
    called: Mapping[int, str],
) -> dict[tuple[int, int], str]:
    own = {place: _own(row, processes.get(place[0], {})) for place, row in threads.items()}
    counts = Counter((pid, name) for (pid, _), name in own.items())
    names = {}
    for (pid, tid), name in own.items():
        told = f"{name or 'thread'} {tid}" if not name or counts[pid, name] > 1 else name
        process = called.get(pid, f"process {pid}")
        # A thread that is called by its id needs no more: no other has it.
        if process not in ("main", told) and not told.endswith(f" {tid}"):
            told = process if told == "main thread" else f"{process} · {told}"
        names[pid, tid] = told
    return names


def _own(row: Mapping[str, Any], process: Mapping[str, Any]) -> str:
    """What the thread is called in its process; empty where nobody gave it a name."""
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    if row["role"] == "main" or row["tid"] == row["pid"] or row["name"] == "MainThread":
        return "main thread"
    name = row["name"] or ""
    # A new thread inherits the name of the program: it says nothing.
    inherited = PurePath(process.get("executable") or "").name[:_COMM]
    return "" if name == inherited or name.startswith(("python", "thread-")) else str(name)


def _functions(tables: Tables, run_id: str) -> dict[tuple[int, int], str]:
    waits = tables.waits[(tables.waits["run_id"] == run_id) & (tables.waits["kind"] == "gil")]
    holds = tables.holds[tables.holds["run_id"] == run_id]
    seen = pd.concat(
        [
            _sites(waits).assign(ns=waits["dur_ns"].astype("float64")),
            _sites(holds).assign(ns=(holds["end_ns"] - holds["start_ns"]).astype("float64")),
        ]
    ).dropna(subset=["function"])
    sums = seen.groupby(["pid", "tid", "function"], observed=True)["ns"].sum().sort_values(ascending=False)
    found: dict[tuple[int, int], str] = {}
    for place in sums.index.tolist():
        pid, tid, function = place
        found.setdefault((int(pid), int(tid)), str(function))
    return found


def _sites(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a wait or hold that name its place, text as text (it comes as categories)."""
    return frame[["pid", "tid", "function"]].astype({"function": "str"})
