"""The names of a run's processes, threads and places, the same in tables, figures, stacks and on the timeline."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from tracekit.analysis.tables import Tables, records

MAIN, MAIN_THREAD = "main", "main thread"

_PYTHONS = "MainThread"
"""Python's name for the first thread of every process."""
_INTERPRETER = re.compile(r"python[0-9.]*[dt]*")
"""The name of a program that runs Python."""
_COMM = 15
"""Bytes of a thread's name that Linux keeps."""

NamedRow = Mapping[str, Any]
"""A row of the table `processes` or `threads`."""


def processes_of(tables: Tables, run_id: str) -> dict[int, NamedRow]:
    """The rows of the run's processes by pid."""
    return {row["pid"]: row for row in records(tables.processes[tables.processes["run_id"] == run_id])}


def threads_of(tables: Tables, run_id: str) -> dict[tuple[int, int], NamedRow]:
    """The rows of the run's threads by (pid, tid)."""
    rows = records(tables.threads[tables.threads["run_id"] == run_id])
    return {(row["pid"], row["tid"]): row for row in rows if row["tid"] is not None}


def process_names(processes: Mapping[int, NamedRow]) -> dict[int, str]:
    """The name of each process: `main`, `worker 2`, `ForkPoolWorker-1`, `app.py 4711` of several, `make 4712`."""
    counts = Counter(row["name"] for row in processes.values())
    return {pid: _process_name(row, unique=counts[row["name"]] == 1) for pid, row in processes.items()}


def _process_name(row: NamedRow, *, unique: bool) -> str:
    if row["role"] == "main":
        return MAIN
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    if row["name"] and unique:
        return str(row["name"])
    return f"{row['name'] or program_name(row['executable'] or '') or 'process'} {row['pid']}"


def program_name(executable: str) -> str:
    """`make`; empty for a Python, which most processes are, and where it is not known."""
    program = PurePath(executable).name
    return "" if program.startswith("python") else program


def thread_names(
    threads: Mapping[tuple[int, int], NamedRow], processes: Mapping[int, NamedRow]
) -> dict[tuple[int, int], str]:
    """The name of each thread within its process: `main thread`, `worker 2`, `feeder`, `thread 4713`."""
    own = {place: _own(row, processes.get(place[0], {})) for place, row in threads.items()}
    counts = Counter((pid, name) for (pid, _), name in own.items())
    return {
        (pid, tid): f"{name or 'thread'} {tid}" if not name or counts[pid, name] > 1 else name
        for (pid, tid), name in own.items()
    }


def own_name(name: str, *, first: bool, executable: str) -> str:
    """The name that the program gave a thread; empty where it gave none. `first`: it is the first of its process."""
    if first or name == _PYTHONS:
        return MAIN_THREAD
    # A new thread inherits the name of the program, which is no name of its own.
    inherited = PurePath(executable).name[:_COMM]
    return "" if name == inherited or _INTERPRETER.fullmatch(name) else name


def _own(row: NamedRow, process: NamedRow) -> str:
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    first = row["role"] == "main" or row["tid"] == row["pid"]
    return own_name(row["name"] or "", first=first, executable=process.get("executable") or "")


def short_place(file: str, line: int | None) -> str:
    """`threading.py:1000`, `futures/thread.py:69`: two parts of the path at most; empty for an unknown file."""
    if not file:
        return ""
    parts = file.replace("\\", "/").split("/")
    return "/".join(parts[-2:] if len(parts) > 2 else parts[-1:]) + ("" if line is None else f":{line}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`processes` by pid, `threads` by (pid, tid); thread names begin with the process where they would be equal."""

    processes: Mapping[int, str]
    threads: Mapping[tuple[int, int], str]
    functions: Mapping[tuple[int, int], str]
    """The function in which each thread held the GIL or waited for it longest."""

    def process(self, pid: int) -> str:
        """`main`, `worker 2`, `process 4711`."""
        return self.processes.get(pid, f"process {pid}")

    def thread(self, pid: int | None, tid: int | None) -> str:
        """`worker 2`, `main thread`, `thread 4712`."""
        if tid is None:
            return "not known"
        return self.threads.get((pid or 0, tid), f"thread {tid}")


def names_of(tables: Tables, run_id: str) -> Names:
    """The names of all processes and threads of the run."""
    processes = processes_of(tables, run_id)
    called = process_names(processes)
    return Names(
        processes=called,
        threads=_threads(thread_names(threads_of(tables, run_id), processes), called),
        functions=_functions(tables, run_id),
    )


def _threads(own: Mapping[tuple[int, int], str], called: Mapping[int, str]) -> dict[tuple[int, int], str]:
    names = {}
    for (pid, tid), name in own.items():
        process = called.get(pid, f"process {pid}")
        # A name that ends in the id is unique.
        if process in (MAIN, name) or name.endswith(f" {tid}"):
            names[pid, tid] = name
        else:
            names[pid, tid] = process if name == MAIN_THREAD else f"{process} · {name}"
    return names


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
