"""The lifetimes of one run's processes and threads, merged from streams, wait probe, kernel capture and manifest.

A stream knows the role of a process and of its threads; the wait probe and the kernel know when they started and ended
and what CPU time they used, also of those without a stream; the manifest knows how processes ended. Here each process
and each thread becomes one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracekit.analysis.load.columns import Columns

PartialRow = dict[str, Any]
"""Part of a row: column -> value, None where it is not known. A process also has two keys that are no columns:
`began_ns`, its earliest known stamp, and `probed`, true when it left a file of the wait probe.
"""

MAIN, OTHER = "main", "other"

_WHOLE_LIFETIME = (
    "start_ns",
    "end_ns",
    "cpu_ns",
    "cpu_read_ns",
    "run_queue_wait_ns",
    "voluntary_switches",
    "involuntary_switches",
)
"""The columns of a thread that must come from one source: else its time ledger would not add up."""


@dataclass(slots=True)
class ProcessLifetime:
    """One process: its row so far, and the rows of its threads."""

    row: PartialRow
    threads: list[PartialRow] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return int(self.row["pid"])

    @property
    def began_ns(self) -> int | None:
        """Its earliest known stamp, CLOCK_MONOTONIC; None without any."""
        stamps = (self.row.get(name) for name in ("began_ns", "exec_ns", "spawn_requested_ns"))
        return next((stamp for stamp in stamps if stamp is not None), None)

    def fill(self, facts: PartialRow) -> None:
        """Set the columns that are still missing."""
        _fill(self.row, facts)

    def end_by(self, ended_ns: int | None) -> None:
        """Move the exit forward to `ended_ns` when the known exit is later.

        Without a file of its own, a process's exit is known from its parent's wait only, which may be seconds later.
        """
        known_ns = self.row.get("exit_ns")
        # An end before the beginning belongs to an earlier process with this pid.
        if ended_ns is not None and known_ns is not None and (self.began_ns or 0) <= ended_ns < known_ns:
            self.row["exit_ns"] = ended_ns

    def merge_threads(self, rows: Iterable[PartialRow]) -> None:
        """Merge the rows that the wait probe or the kernel has for this process's threads.

        A stream's row keeps its name, role and worker. When `rows` has the thread's CPU time, all of _WHOLE_LIFETIME is
        taken from there: a stream's stamps cover only the part of the lifetime that the model saw.
        """
        by_tid: dict[int, list[PartialRow]] = {}
        for facts in rows:
            by_tid.setdefault(facts["tid"], []).append(facts)
        for row in self.threads:
            # The system may have given one id to several threads in turn.
            candidates = by_tid.get(row["tid"])
            if candidates:
                facts = min(candidates, key=lambda facts: _start_distance(row, facts))
                candidates.remove(facts)
                if facts.get("cpu_ns") is not None:
                    row.update({name: facts.get(name) for name in _WHOLE_LIFETIME})
                _fill(row, facts)
        for rest in by_tid.values():
            self.threads += rest


class ProcessLifetimes:
    """All processes of one run, in the order in which they were added."""

    def __init__(self) -> None:
        self._processes: list[ProcessLifetime] = []
        self._by_pid: dict[int, list[ProcessLifetime]] = {}

    def __iter__(self) -> Iterator[ProcessLifetime]:
        return iter(self._processes)

    def add(self, **facts: Any) -> ProcessLifetime:
        """Add a process; `pid` is required."""
        process = ProcessLifetime(facts)
        self._processes.append(process)
        self._by_pid.setdefault(process.pid, []).append(process)
        return process

    def find(self, pid: int, start_ticks: int | None = None) -> ProcessLifetime | None:
        """Find a process by pid. Where both starts are known, `start_ticks` excludes another process of that pid."""
        return next(
            (
                process
                for process in self._by_pid.get(pid, [])
                if not start_ticks or process.row.get("start_ticks") in (None, start_ticks)
            ),
            None,
        )

    @property
    def main(self) -> ProcessLifetime | None:
        """The run's main process; None while none has that role."""
        return next((process for process in self._processes if process.row.get("role") == MAIN), None)

    def choose_main(self) -> None:
        """Make the oldest process whose parent is not in the run the main one, unless a stream named it."""
        roots = [process for process in self._processes if process.row.get("ppid") not in self._by_pid]
        if self.main is None and roots:
            # Those without any stamp come last.
            min(roots, key=lambda process: process.began_ns or 2**63).row["role"] = MAIN

    def add_to(self, columns: Columns, run_id: str) -> None:
        """Add the rows of the tables `processes` and `threads`."""
        for process in self._processes:
            process.fill({"role": OTHER})
            columns.add("processes", run_id=run_id, **process.row)
            for thread in process.threads:
                _fill(thread, {"role": process.row["role"] if thread["tid"] == process.pid else OTHER})
                columns.add("threads", run_id=run_id, **{"pid": process.pid, **thread})


def _fill(row: PartialRow, facts: PartialRow) -> None:
    for name, value in facts.items():
        # A thread's name in a stream may be empty.
        if row.get(name) in (None, ""):
            row[name] = value


def _start_distance(row: PartialRow, facts: PartialRow) -> int:
    """Nanoseconds between the starts in two rows of a thread; 0 where one is not known."""
    ours, theirs = row.get("start_ns"), facts.get("start_ns")
    return 0 if ours is None or theirs is None else abs(ours - theirs)
