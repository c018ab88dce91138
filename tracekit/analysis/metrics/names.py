"""The names of a run's processes and threads, the same in tables, figures, stacks and on the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tracekit.analysis.tables import Tables, records

MAIN, MAIN_THREAD = "main", "main thread"

_PYTHONS = "MainThread"
"""Python's name for the first thread of every process."""
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


def process_name(row: NamedRow) -> str:
    """`main`, `worker 2`, `process 4711`, `make 4712`."""
    if row["role"] == "main":
        return MAIN
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    return f"{program_name(row['executable'] or '') or 'process'} {row['pid']}"


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
    return "" if name == inherited or name.startswith(("python", "thread-")) else name


def _own(row: NamedRow, process: NamedRow) -> str:
    if row["worker"] is not None:
        return f"worker {row['worker'] + 1}"
    first = row["role"] == "main" or row["tid"] == row["pid"]
    return own_name(row["name"] or "", first=first, executable=process.get("executable") or "")
