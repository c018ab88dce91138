"""Who is in a run: its processes and threads, what a reader calls them, and their ids in the trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.names import MAIN, MAIN_THREAD, own_name, program_name
from tracekit.analysis.tables import Tables
from tracekit.bundle.names import PROGRAM

_LARGEST_ID = 2**31 - 1
_ROUND = 1000
_UNNAMED = "thread"


@dataclass(frozen=True, kw_only=True)
class Person:
    """A process, or a thread of one. `pid` and `tid` are the system's; `shown_*` are those of the trace."""

    pid: int
    tid: int
    """Of a process: its pid."""
    label: str
    rank: int
    """Where it stands among its like: 0 main, then workers by number, then others."""
    shown_pid: int
    shown_tid: int
    worker: int | None
    """0, 1, ... where it does tasks as part of a pool."""
    program: str
    """Of a process that runs another program than Python: its name."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Everybody in one run."""

    processes: dict[int, Person]
    threads: dict[tuple[int, int], Person]

    def said(self, thread: Person) -> str:
        """A thread as a track names it: `worker 2`, and `thread 4712` where a name would not tell it from others."""
        if thread.worker is not None:
            return f"worker {thread.worker + 1}"
        process = self.processes[thread.pid]
        if process.worker is not None and thread.tid == thread.pid:
            return f"worker {process.worker + 1}"
        if thread.label == MAIN_THREAD:
            # Each process has one: those of others are called by their process.
            return MAIN_THREAD if process is self.main() else self.role(process)
        alone = self._labels[thread.label] == 1 and thread.label != _UNNAMED
        return thread.label if alone else f"{thread.label} {thread.shown_tid}"

    def role(self, process: Person) -> str:
        """A process as a track names it: `main`, `worker 2`, `process 4711`, `make 4712`."""
        if process.worker is not None:
            return f"worker {process.worker + 1}"
        return MAIN if process is self.main() else f"{process.program or 'process'} {process.shown_pid}"

    @cached_property
    def _labels(self) -> Counter[str]:
        return Counter(person.label for person in self.threads.values())

    def main(self) -> Person | None:
        """The main process, if the run has left one."""
        return min(self.processes.values(), key=lambda person: person.rank, default=None)

    def next_id(self) -> int:
        """The first round number above every id in use."""
        used = [0, *(item.shown_tid for group in (self.processes, self.threads) for item in group.values())]
        return (max(used) // _ROUND + 1) * _ROUND


def cast_of(tables: Tables, run: Mapping[str, Any], *, prefix: str = "", first_id: int | None = None) -> Cast:
    """Name everybody in a run (`tables` hold no other run).

    Labels are `main (spawn)`, `worker 2 (spawn)`; with a prefix `spawn · worker 2`. Without `first_id` the
    real ids are kept where that works: Perfetto reads 32 bits, and no thread id may belong to two processes.
    """
    processes = _process_rows(tables)
    threads = _thread_rows(tables, processes)
    pids, tids = _shown_ids(processes, threads, first_id)
    way = _text(run.get("start_method")) or _text(run.get("model"))
    if way == PROGRAM:
        way = _text(run.get("workload"))
    people = {
        pid: Person(
            pid=pid,
            tid=pid,
            label=_process_label(row, way, prefix),
            rank=_rank(row),
            shown_pid=pids[pid],
            shown_tid=pids[pid],
            worker=_worker(row),
            program=program_name(row["image"]),
        )
        for pid, row in processes.items()
    }
    return Cast(
        processes=people,
        threads={
            (pid, tid): Person(
                pid=pid,
                tid=tid,
                label=_thread_label(row, processes[pid], tid == pid, way),
                rank=_rank(row),
                shown_pid=pids[pid],
                shown_tid=tids[pid, tid],
                worker=_worker(row),
                program="",
            )
            for (pid, tid), row in threads.items()
        },
    )


def whole(value: Any) -> int | None:
    """A cell of an integer column, or None where it is missing."""
    return None if value is None or pd.isna(value) else int(value)


def rows_of(frame: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Those columns row by row, for tables of people and tasks (not for a million slices)."""
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def _process_rows(tables: Tables) -> dict[int, dict[str, Any]]:
    frame = tables.processes
    found = {
        int(pid): {"role": _text(role), "worker": whole(worker), "image": PurePath(_text(executable)).name}
        for pid, role, worker, executable in rows_of(frame, "pid", "role", "worker", "executable")
    }
    # A process that was killed may have left calls or tasks and no record of itself.
    for other in (tables.threads, tables.spans, tables.slices, tables.waits, tables.holds, tables.sched):
        for pid in other["pid"].dropna().unique().tolist():
            found.setdefault(int(pid), {"role": "", "worker": None, "image": ""})
    return dict(sorted(found.items(), key=lambda item: (_rank(item[1]), item[0])))


def _thread_rows(tables: Tables, processes: Mapping[int, Mapping[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    found: dict[tuple[int, int], dict[str, Any]] = {
        (int(pid), int(tid)): {"role": _text(role), "worker": whole(worker), "name": _text(name)}
        for pid, tid, role, worker, name in rows_of(tables.threads, "pid", "tid", "role", "worker", "name")
    }
    for other in (tables.spans, tables.slices, tables.waits, tables.holds, tables.sched):
        known = other[["pid", "tid"]].dropna().drop_duplicates()
        for pid, tid in rows_of(known, "pid", "tid"):
            found.setdefault((int(pid), int(tid)), {"role": "", "worker": None, "name": ""})
    places = {pid: place for place, pid in enumerate(processes)}
    return dict(sorted(found.items(), key=lambda item: (places[item[0][0]], _rank(item[1]), item[0][1])))


def _shown_ids(
    processes: Iterable[int], threads: Iterable[tuple[int, int]], first_id: int | None
) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    pids, pairs = list(processes), list(threads)
    everyone = {*pids, *(tid for _, tid in pairs)}
    fits = all(0 < number <= _LARGEST_ID for number in everyone)
    owners = {(tid, pid) for pid, tid in pairs} | {(pid, pid) for pid in pids}
    if first_id is None and fits and len(owners) == len(everyone):
        return {pid: pid for pid in pids}, {pair: pair[1] for pair in pairs}
    number = _ROUND if first_id is None else first_id
    shown_pids: dict[int, int] = {}
    shown_tids: dict[tuple[int, int], int] = {}
    for pid in pids:
        number += 1
        shown_pids[pid] = number
        for pair in pairs:
            if pair[0] == pid and pair[1] == pid:
                shown_tids[pair] = number  # the UI marks the thread whose id is the process's as main thread
            elif pair[0] == pid:
                number += 1
                shown_tids[pair] = number
    return shown_pids, shown_tids


def _rank(row: Mapping[str, Any]) -> int:
    if row["role"] == "main":
        return 0
    return 1 + row["worker"] if row["worker"] is not None else _LARGEST_ID


def _worker(row: Mapping[str, Any]) -> int | None:
    worker = row["worker"]
    return worker if isinstance(worker, int) else None


def _process_label(row: Mapping[str, Any], way: str, prefix: str) -> str:
    who = MAIN if row["role"] == "main" else _numbered(row) or program_name(row["image"]) or "process"
    if prefix:
        return f"{prefix} · {who}"
    return f"{who} ({way})" if way else who


def _thread_label(row: Mapping[str, Any], process: Mapping[str, Any], first: bool, way: str) -> str:
    numbered = _numbered(row)
    if numbered and process["role"] == "main":
        return f"{numbered} ({way})" if way else numbered
    return own_name(row["name"], first=first, executable=process["image"]) or _UNNAMED


def _numbered(row: Mapping[str, Any]) -> str:
    # People count from 1; the records from 0.
    return "" if row["worker"] is None else f"worker {row['worker'] + 1}"


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)
