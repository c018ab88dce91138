"""The memory of all processes of a run, read from outside, in the warm-up run only, so that no timed run is touched."""

from __future__ import annotations

import time

import psutil

from tracekit.bundle.spec import FORMAT
from tracekit.bundle.store import Bundle
from tracekit.bundle.stream_schema import CounterRecord, EndRecord, MetaRecord, StreamRecord
from tracekit.core import clock
from tracekit.measure.inside.stream_writer import encode_record

_LATE_WORKERS_S = 5.0


class MemoryReader:
    """In a warm-up run: when the child says that all workers are alive and idle, read their memory, once.

    Private (USS) and proportional (PSS) bytes, never RSS, which counts shared pages once per process. Source: psutil's
    memory_full_info, on Linux /proc/<pid>/smaps_rollup.
    """

    def __init__(self, bundle: Bundle) -> None:
        """For one warm-up run; what is read goes to its bundle's `parent_stream`."""
        self._bundle = bundle
        self._waiting_since: float | None = None

    def __call__(self, pid: int) -> bool:
        """Look at the run whose leader is `pid`; whether to be called again. Raises OSError."""
        try:
            workers = int(self._bundle.workers_ready.read_text(encoding="ascii"))
        except FileNotFoundError:
            return True
        if self._workers_seen() < workers and time.monotonic() < self._limit():
            return True
        records: list[StreamRecord] = [MetaRecord(format=FORMAT, role="parent")]
        try:
            leader = psutil.Process(pid)
            family = [leader, *leader.children(recursive=True)]
        except psutil.Error:
            family = []
        for member in family:
            records += _memory_records(member)
        records.append(EndRecord(count=len(records)))
        self._bundle.parent_stream.write_text(
            "".join(encode_record(record) + "\n" for record in records), encoding="utf-8"
        )
        self._bundle.memory_read.touch()
        return False

    def _workers_seen(self) -> int:
        """Workers that have begun their stream, in which they do their first own work."""
        return len(self._bundle.process_streams()) - 1

    def _limit(self) -> float:
        """Until when to wait for workers that are still starting: less than the child's own patience."""
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return self._waiting_since + _LATE_WORKERS_S


def _memory_records(member: psutil.Process) -> list[CounterRecord]:
    try:
        memory = member.memory_full_info()
    except psutil.Error:
        return []
    stamp = clock.now_ns()
    return [
        CounterRecord(
            pid=member.pid,
            ts_ns=stamp,
            counter=f"{name}_bytes",
            value=getattr(memory, name),
            unit="bytes",
            scope="process",
            source="psutil",
            at="end",
        )
        for name in ("uss", "pss")
        if hasattr(memory, name)
    ]
