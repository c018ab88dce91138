"""Makes rows of `threads` from the wait probe's files `waits/*.bin`."""

from __future__ import annotations

from typing import Any

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.lifetimes import MAIN, OTHER, PartialRow
from tracekit.analysis.load.waits.processes import LifetimeEvent, ProbedProcess
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID

_LARGEST = 2**62

NATIVE = "native"
"""Role of a thread that a library started, or that waited without ever having a Python thread state, and of all threads
of a process without Python; not of one that was seen with a Python thread state. The main thread of the run's main
process keeps the role `main`.
"""

_SYSTEM_NAME = "system_name"
"""No column: the name that the system has for a thread."""

_REPLACED = ("?", "\N{REPLACEMENT CHARACTER}")
"""What stands in a system's name for a character that it cannot have, or that was cut."""

_END_COLUMNS = ("end_ns", "cpu_ns", "cpu_read_ns", "run_queue_wait_ns", "voluntary_switches", "involuntary_switches")
"""The columns from a thread's last record."""


def make_thread_rows(
    process: ProbedProcess, waiting: frozenset[int], python: frozenset[int], window: Window
) -> list[PartialRow]:
    """Make the rows of one process, without run and pid.

    `waiting` are the thread ids with waits or holds, `python` those of them that had a Python thread state. A thread
    without a recorded end ends with its process.
    """
    end_ns = process.lifetime.row.get("exit_ns")
    pid, threads = process.pid, _ThreadRows(process.pid)
    for event in process.events:
        threads.apply(event, process)
    threads.latest(pid)
    for entry in process.file.threads[process.file.threads["tid"] > 0]:
        if int(entry["tid"]) <= LARGEST_TID:
            _apply_entry(threads, entry, window)
    for tid in sorted(waiting):
        threads.latest(tid)
    if process.file.header.python:
        natives = (waiting | threads.libraries.keys()) - python
    else:
        natives = frozenset(row["tid"] for row in threads.rows)
    program = threads.latest(pid).get(_SYSTEM_NAME)
    for row in threads.rows:
        row["role"] = NATIVE if row["tid"] in natives else OTHER
        row["name"] = _choose_name(row, row.pop(_SYSTEM_NAME, None), program) or threads.libraries.get(row["tid"])
        if row.get("end_ns") is None:
            row["end_ns"] = end_ns
    main = threads.latest(pid)
    main.update(name="MainThread", start_ns=process.lifetime.row["began_ns"])
    if process.lifetime.row.get("role") == MAIN:
        main["role"] = MAIN
    return threads.rows


def _choose_name(row: PartialRow, system: str | None, program: str | None) -> str | None:
    """Choose the thread's last name: Python's, which it had when it was started, or the system's when it ended.

    The system's is none of its own where it is that of the main thread, which every thread begins with, or the
    beginning of Python's, which Python gives to the system since 3.14 (`?` for what the system cannot have).
    """
    name: str | None = row.get("name")
    if system is None or system == program:
        return name
    if name is None or len(system) > len(name):
        return system
    return name if all(ours in (theirs, *_REPLACED) for ours, theirs in zip(system, name, strict=False)) else system


class _ThreadRows:
    """Builds the rows of a process's threads from its events. The kernel may reuse an id after a thread has ended."""

    def __init__(self, pid: int) -> None:
        self.rows: list[PartialRow] = []
        self.libraries: dict[int, str | None] = {}
        """The threads that a library started, and its name."""
        self._pid = pid
        self._last: dict[int, PartialRow] = {}
        self._ended: set[int] = set()
        self._exec_ns: int | None = None

    def latest(self, tid: int) -> PartialRow:
        """The row of the latest thread with this id, ended or not."""
        return self._last.get(tid) or self.begin(tid)

    def apply(self, event: LifetimeEvent, process: ProbedProcess) -> None:
        """Apply the next event of the process."""
        tid = event.tid
        match event.kind:
            case waits_file.THREAD_START:
                row = self._find_unstarted(tid)
                row["start_ns"] = event.start_ns
                if event.flags & waits_file.NATIVE:
                    self.libraries[tid] = process.find_text(event.site)
                else:
                    self.libraries.pop(tid, None)
                if 0 < event.dur_ns < event.start_ns:
                    row["spawn_requested_ns"] = event.start_ns - event.dur_ns
            case waits_file.THREAD_NAME:
                column = "name" if event.flags & waits_file.KNOWN else _SYSTEM_NAME
                self.latest(tid)[column] = process.find_text(event.site)
            case waits_file.THREAD_END:
                # A second end replaces the first: the first was written before an exec that failed.
                known = bool(event.flags & waits_file.KNOWN)
                self.latest(tid).update(
                    end_ns=event.start_ns,
                    cpu_ns=_check_ns(event.dur_ns),
                    run_queue_wait_ns=_check_ns(event.object) if known else None,
                    voluntary_switches=event.other,
                    involuntary_switches=event.site,
                )
                self._ended.add(tid)
            case waits_file.EXEC if event.object == self._pid:
                self._exec_ns = event.start_ns
            case waits_file.IMAGE if self._exec_ns is not None:
                self._replace_image(self._exec_ns)
                self._exec_ns = None

    def _replace_image(self, exec_ns: int) -> None:
        """Apply an exec: the main thread continues in the new image with its counters; all other threads end."""
        for tid, row in self._last.items():
            if tid == self._pid:
                row.update(dict.fromkeys(_END_COLUMNS))
                self._ended.discard(tid)
            elif tid not in self._ended:
                row["end_ns"] = exec_ns
                self._ended.add(tid)

    def _find_unstarted(self, tid: int) -> PartialRow:
        row = self._last.get(tid)
        if row is None or (tid != self._pid and (tid in self._ended or row.get("start_ns") is not None)):
            return self.begin(tid)
        return row

    def begin(self, tid: int) -> PartialRow:
        """Add a new thread with this id."""
        row: PartialRow = {"tid": tid}
        self._ended.discard(tid)
        self._last[tid] = row
        self.rows.append(row)
        return row


def _apply_entry(threads: _ThreadRows, entry: Any, window: Window) -> None:
    """Apply one entry of the file's thread table: the last checkpoint of a thread, which may have no end record."""
    tid, start_ns = int(entry["tid"]), window.stamp(int(entry["start_ns"]))
    row = threads.latest(tid)
    end_ns = row.get("end_ns")
    if end_ns is not None and start_ns is not None and start_ns > end_ns:
        row = threads.begin(tid)
    if row.get("start_ns") is None:
        row["start_ns"] = start_ns
    read_ns = window.stamp(int(entry["checkpoint_ns"]))
    if row.get("cpu_ns") is None and read_ns is not None:
        row["cpu_read_ns"] = read_ns
        row["cpu_ns"] = _check_ns(int(entry["cpu_ns"]))
        row["run_queue_wait_ns"] = _check_ns(int(entry["run_queue_ns"]))


def _check_ns(value: int) -> int | None:
    """The same nanoseconds; None when they are too many to be summed in int64."""
    return value if value <= _LARGEST else None
