"""The memory of all processes of a run, read from outside, in the warm-up run only, so that no timed run is touched."""

from __future__ import annotations

import time

from tracekit.bundle.spec import FORMAT
from tracekit.bundle.store import Bundle
from tracekit.bundle.stream_records import CounterRecord, EndRecord, MetaRecord, StreamRecord
from tracekit.core import clock
from tracekit.measure.inside.stream_writer import encode_record
from tracekit.system.process_table import RunningProcess, find_process

_LATE_WORKERS_S = 5.0


class MemorySampler:
    """Reads the memory of a warm-up run's processes once, when all workers are alive and idle.

    Private (USS) and proportional (PSS) bytes, see RunningProcess.read_memory. The measured process says by a file
    when its workers are ready (handshake.ready), and waits for another one (handshake.go) before it goes on.
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
        if self._count_begun_workers() < workers and time.monotonic() < self._limit():
            return True
        records: list[StreamRecord] = [MetaRecord(format=FORMAT, role="parent")]
        leader = find_process(pid)
        if leader is not None:
            for member in (leader, *leader.children(recursive=True)):
                records += _memory_records(member)
        records.append(EndRecord(count=len(records)))
        self._bundle.parent_stream.write_text(
            "".join(encode_record(record) + "\n" for record in records), encoding="utf-8"
        )
        self._bundle.memory_read.touch()
        return False

    def _count_begun_workers(self) -> int:
        """Workers that have begun their stream, in which they do their first own work."""
        return len(self._bundle.process_streams()) - 1

    def _limit(self) -> float:
        """Until when to wait for workers that are still starting: shorter than the measured process waits for us."""
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return self._waiting_since + _LATE_WORKERS_S


def _memory_records(member: RunningProcess) -> list[CounterRecord]:
    memory = member.read_memory()
    stamp = clock.now_ns()
    return [
        CounterRecord(
            pid=member.pid,
            ts_ns=stamp,
            counter=f"{name}_bytes",
            value=value,
            unit="bytes",
            scope="process",
            source="psutil",
            at="end",
        )
        for name, value in memory.items()
    ]


def remove_handshake(bundle: Bundle) -> None:
    """Remove the files by which the sampler and the measured process waited for each other."""
    for path in (bundle.workers_ready, bundle.memory_read):
        path.unlink(missing_ok=True)
