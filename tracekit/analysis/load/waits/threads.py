"""The wait probe's files `waits/*.bin`: what they tell of the threads of a process."""

from __future__ import annotations

from typing import Any

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.lifetimes import MAIN, OTHER, Facts
from tracekit.analysis.load.waits.processes import Event, Probed
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID

_LARGEST = 2**62

NATIVE = "native"
"""Role of a thread that waited, and never with a Python thread state, and of all threads of a process without Python.
The main thread of the run's main process has that role even so.
"""

_AT_END = ("end_ns", "cpu_ns", "run_queue_wait_ns", "voluntary_switches", "involuntary_switches")
"""What a thread's last record says."""


def thread_rows(probed: Probed, seen: frozenset[int], python: frozenset[int], window: Window) -> list[Facts]:
    """The threads of one process: rows of `threads`, without run and pid. `seen` are the ids with waits, `python` those
    of them that had a Python thread state; the process's end stands in for that of a thread without one.
    """
    end_ns = probed.life.facts.get("exit_ns")
    pid, threads = probed.pid, _Threads(probed.pid)
    for event in probed.events:
        threads.take(event, probed)
    threads.of(pid)
    for entry in probed.file.threads[probed.file.threads["tid"] > 0]:
        if int(entry["tid"]) <= LARGEST_TID:
            _take_entry(threads, entry, window)
    for tid in sorted(seen):
        threads.of(tid)
    natives = seen - python if probed.file.header.python else {row["tid"] for row in threads.rows}
    # A thread that nobody names has the main thread's name, which is the program's.
    program = threads.of(pid).get("name")
    for row in threads.rows:
        row["role"] = NATIVE if row["tid"] in natives else OTHER
        if row.get("name") == program:
            row["name"] = None
        if row.get("end_ns") is None:
            row["end_ns"] = end_ns
    main = threads.of(pid)
    main.update(name="MainThread", start_ns=probed.life.facts["began_ns"])
    if probed.life.facts.get("role") == MAIN:
        main["role"] = MAIN
    return threads.rows


class _Threads:
    """The threads of a process in the making. An id may come again when its first bearer has ended."""

    def __init__(self, pid: int) -> None:
        self.rows: list[Facts] = []
        self._pid = pid
        self._last: dict[int, Facts] = {}
        self._ended: set[int] = set()
        self._exec_ns: int | None = None

    def of(self, tid: int) -> Facts:
        """The latest thread with this id, ended or not."""
        return self._last.get(tid) or self.begin(tid)

    def take(self, event: Event, probed: Probed) -> None:
        """The next event of the process."""
        tid = event.tid
        match event.kind:
            case waits_file.THREAD_START:
                row = self._to_start(tid)
                row["start_ns"] = event.start_ns
                if 0 < event.dur_ns < event.start_ns:
                    row["spawn_requested_ns"] = event.start_ns - event.dur_ns
            case waits_file.THREAD_NAME:
                self.of(tid)["name"] = probed.text(event.site)
            case waits_file.THREAD_END:
                # A second end replaces the first: the first was written before an exec that failed.
                known = bool(event.flags & waits_file.KNOWN)
                self.of(tid).update(
                    end_ns=event.start_ns,
                    cpu_ns=_number(event.dur_ns),
                    run_queue_wait_ns=_number(event.object) if known else None,
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
        """The main thread goes on in the new image, and so does what is counted of it; no other one does."""
        for tid, row in self._last.items():
            if tid == self._pid:
                row.update(dict.fromkeys(_AT_END))
                self._ended.discard(tid)
            elif tid not in self._ended:
                row["end_ns"] = exec_ns
                self._ended.add(tid)

    def _to_start(self, tid: int) -> Facts:
        row = self._last.get(tid)
        if row is None or (tid != self._pid and (tid in self._ended or row.get("start_ns") is not None)):
            return self.begin(tid)
        return row

    def begin(self, tid: int) -> Facts:
        """Another thread with this id."""
        row: Facts = {"tid": tid}
        self._ended.discard(tid)
        self._last[tid] = row
        self.rows.append(row)
        return row


def _take_entry(threads: _Threads, entry: Any, window: Window) -> None:
    """One entry of the thread table: what was last known of a thread that perhaps left no end."""
    tid, start_ns = int(entry["tid"]), window.stamp(int(entry["start_ns"]))
    row = threads.of(tid)
    end_ns = row.get("end_ns")
    if end_ns is not None and start_ns is not None and start_ns > end_ns:
        row = threads.begin(tid)
    if row.get("start_ns") is None:
        row["start_ns"] = start_ns
    if row.get("cpu_ns") is None and window.stamp(int(entry["checkpoint_ns"])) is not None:
        row["cpu_ns"] = _number(int(entry["cpu_ns"]))
        row["run_queue_wait_ns"] = _number(int(entry["run_queue_ns"]))


def _number(value: int) -> int | None:
    """Nanoseconds that a table can hold and sum."""
    return value if value <= _LARGEST else None
