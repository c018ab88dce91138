"""The tracks of a run's processes and threads: their labels, their order, and their ids in the trace."""

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
class Track:
    """The track of a process or of a thread. `pid` and `tid` are the system's ids, `shown_*` those in the trace."""

    pid: int
    tid: int
    """The pid for a process."""
    label: str
    rank: int
    """Sort index: 0 for main, then workers by number, then others."""
    shown_pid: int
    shown_tid: int
    worker: int | None
    """The worker's number, 0, 1, ...; None outside a pool."""
    program: str
    """The name of the process, else of its program where that is no Python; empty without one."""
    named: bool
    """It is the name of the process."""


@dataclass(frozen=True, kw_only=True)
class RunTracks:
    """The tracks of all processes and threads of one run."""

    processes: dict[int, Track]
    threads: dict[tuple[int, int], Track]

    def label_thread(self, thread: Track) -> str:
        """The label of a thread in titles: `worker 2`, or `thread 4712` where its name is not unique."""
        if thread.worker is not None:
            return f"worker {thread.worker + 1}"
        process = self.processes[thread.pid]
        if process.worker is not None and thread.tid == thread.pid:
            return f"worker {process.worker + 1}"
        if thread.label == MAIN_THREAD:
            # Every process has one: that of another process is labelled like the process.
            return MAIN_THREAD if process is self.main() else self.label_process(process)
        alone = self._labels[thread.label] == 1 and thread.label != _UNNAMED
        return thread.label if alone else f"{thread.label} {thread.shown_tid}"

    def label_process(self, process: Track) -> str:
        """The label of a process in titles: `main`, `worker 2`, `ForkPoolWorker-1`, `process 4711`, `make 4712`."""
        if process.worker is not None:
            return f"worker {process.worker + 1}"
        if process is self.main():
            return MAIN
        alone = process.named and sum(track.program == process.program for track in self.processes.values()) == 1
        return process.program if alone else f"{process.program or 'process'} {process.shown_pid}"

    @cached_property
    def _labels(self) -> Counter[str]:
        return Counter(track.label for track in self.threads.values())

    def main(self) -> Track | None:
        """The main process, or the one nearest to it in order; None without any process."""
        return min(self.processes.values(), key=lambda track: track.rank, default=None)

    def find_next_id(self) -> int:
        """The first multiple of _ROUND above all ids in use."""
        used = [0, *(item.shown_tid for group in (self.processes, self.threads) for item in group.values())]
        return (max(used) // _ROUND + 1) * _ROUND


def make_run_tracks(
    tables: Tables, run: Mapping[str, Any], *, prefix: str = "", first_id: int | None = None
) -> RunTracks:
    """Make the tracks of a run (`tables` hold no other run).

    Labels are `main (spawn)`, `worker 2 (spawn)`; with a prefix `spawn · worker 2`. Without `first_id` the
    real ids are kept where possible: Perfetto reads 32 bits, and no thread id may belong to two processes.
    """
    processes = _process_rows(tables)
    threads = _thread_rows(tables, processes)
    pids, tids = _shown_ids(processes, threads, first_id)
    how = _text(run.get("start_method")) or _text(run.get("model"))
    if how == PROGRAM:
        how = _text(run.get("workload"))
    people = {
        pid: Track(
            pid=pid,
            tid=pid,
            label=_process_label(row, how, prefix),
            rank=_rank(row),
            shown_pid=pids[pid],
            shown_tid=pids[pid],
            worker=_worker(row),
            program=row["name"] or program_name(row["image"]),
            named=bool(row["name"]),
        )
        for pid, row in processes.items()
    }
    return RunTracks(
        processes=people,
        threads={
            (pid, tid): Track(
                pid=pid,
                tid=tid,
                label=_thread_label(row, processes[pid], tid == pid, how),
                rank=_rank(row),
                shown_pid=pids[pid],
                shown_tid=tids[pid, tid],
                worker=_worker(row),
                program="",
                named=False,
            )
            for (pid, tid), row in threads.items()
        },
    )


def to_int(value: Any) -> int | None:
    """A value of an integer column, None where it is missing."""
    return None if value is None or pd.isna(value) else int(value)


def iterate_rows(frame: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Iterate over these columns row by row; for small tables only, not for a million slices."""
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def _process_rows(tables: Tables) -> dict[int, dict[str, Any]]:
    frame = tables.processes
    found = {
        int(pid): {
            "role": _text(role),
            "worker": to_int(worker),
            "name": _text(name),
            "image": PurePath(_text(executable)).name,
        }
        for pid, role, worker, name, executable in iterate_rows(frame, "pid", "role", "worker", "name", "executable")
    }
    # A killed process may have left calls or tasks without a row of its own.
    for other in (tables.threads, tables.spans, tables.slices, tables.waits, tables.holds, tables.sched):
        for pid in other["pid"].dropna().unique().tolist():
            found.setdefault(int(pid), {"role": "", "worker": None, "name": "", "image": ""})
    return dict(sorted(found.items(), key=lambda item: (_rank(item[1]), item[0])))


def _thread_rows(tables: Tables, processes: Mapping[int, Mapping[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    found: dict[tuple[int, int], dict[str, Any]] = {
        (int(pid), int(tid)): {"role": _text(role), "worker": to_int(worker), "name": _text(name)}
        for pid, tid, role, worker, name in iterate_rows(tables.threads, "pid", "tid", "role", "worker", "name")
    }
    for other in (tables.spans, tables.slices, tables.waits, tables.holds, tables.sched):
        known = other[["pid", "tid"]].dropna().drop_duplicates()
        for pid, tid in iterate_rows(known, "pid", "tid"):
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


def _process_label(row: Mapping[str, Any], how: str, prefix: str) -> str:
    who = MAIN if row["role"] == "main" else _numbered(row) or row["name"] or program_name(row["image"]) or "process"
    if prefix:
        return f"{prefix} · {who}"
    return f"{who} ({how})" if how else who


def _thread_label(row: Mapping[str, Any], process: Mapping[str, Any], first: bool, how: str) -> str:
    numbered = _numbered(row)
    if numbered and process["role"] == "main":
        return f"{numbered} ({how})" if how else numbered
    return own_name(row["name"], first=first, executable=process["image"]) or _UNNAMED


def _numbered(row: Mapping[str, Any]) -> str:
    # Labels count from 1, records from 0.
    return "" if row["worker"] is None else f"worker {row['worker'] + 1}"


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)
