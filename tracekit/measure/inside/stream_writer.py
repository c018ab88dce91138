"""The stream of one measured process: stamps, task spans and counters, kept in memory and written in few writes.

Each process makes its own StreamWriter; `current_writer()` is that of the process it is called in. A forked worker
replaces the one it inherited and never touches its parent's file. Workers write what they have at least every half
second, so a worker that is killed loses little; the main process of the thread model writes only when no task runs,
because a write gives up the GIL and would cause handoffs of its own.

Imported by every worker: stdlib only, and nothing slow. The records are described in bundle/stream_schema.py.
"""

from __future__ import annotations

import os
import sys
import threading

from tracekit.bundle.stream_records import CounterRecord, EndRecord, stream_name
from tracekit.core.clock import now_ns

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from tracekit.bundle.stream_records import StreamRecord
    from tracekit.measure.inside.counters import CounterSource, Reading

_FLUSH_EVERY_NS = 500_000_000
_CALIBRATIONS = 101


_SPAN_LINE = (
    '{"kind":"span","tid":%s,"name":"%s","item":%s,"start_ns":%s,"dur_ns":%s,"cpu_ns":%s'
    ',"voluntary_switches":%s,"involuntary_switches":%s}'
)
"""A span's line, to be filled with the values of its keys in their order: spans are many, and are kept as tuples."""


class StreamWriter:
    """Writes `<folder>/<pid>.jsonl`. Threads of the process may write at the same time."""

    def __init__(self, folder: str, source: CounterSource, *, periodic: bool) -> None:
        """Open the stream. `periodic`: also flush between tasks, at least every half second. Raises OSError."""
        self.source = source
        self.pid = os.getpid()
        self._periodic = periodic
        self._fd = os.open(
            os.path.join(folder, stream_name(self.pid)),  # noqa: PTH118 - pathlib costs a worker 3 ms
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND,
            0o644,
        )
        self._lines: list[str] = []
        self._spans: list[tuple[Any, ...]] = []
        self._count = 0
        self._flushed_ns = now_ns()
        self.window_ended: Callable[[], None] = _do_nothing
        """Called when all results are in and no worker was asked to end."""
        self.worker_processes = 0
        """Worker processes that the model has requested so far."""
        self._workers = 0

    def write(self, record: StreamRecord) -> None:
        """Keep one record until the next flush."""
        self._lines.append(encode_record(record))

    def write_span(
        self, name: str, start_ns: int, end_ns: int, item: int | None = None, used: tuple[Any, ...] = (None,) * 3
    ) -> None:
        """Keep one span of the calling thread; `used` is the difference of two task readings."""
        self._spans.append((threading.get_native_id(), name, item, start_ns, end_ns - start_ns, *used))
        if self._periodic and end_ns - self._flushed_ns > _FLUSH_EVERY_NS:
            self.flush()

    def write_submits(self, stamps: Sequence[tuple[int, int, int]]) -> None:
        """Keep when each item was handed to the executor, and when that call returned: spans `submit`."""
        for item, start_ns, end_ns in stamps:
            self.write_span("submit", start_ns, end_ns, item)

    def number_worker(self) -> int:
        """The number of the worker, process or thread, that is started next: 0, 1, ..."""
        self._workers += 1
        return self._workers - 1

    def write_counters(self, at: str, *, machine: bool = False) -> dict[int, int]:
        """Read and keep the process's counters, with `machine` also the machine's; `at` is `start` or `end`.

        Returns each thread's CPU ns by tid.
        """
        taken = self.source.process_readings()
        if machine:
            taken += self.source.machine_readings()
        stamp = now_ns()
        for reading in taken:
            self._write_counter(reading, stamp, at)
        return {tid: value for _, tid, name, value, _ in taken if tid is not None and name == "cpu_ns"}

    def end_window(self) -> dict[int, int]:
        """Read the counters once all results are in, before any worker is asked to end. Returns as `write_counters`."""
        cpu = self.write_counters("end", machine=True)
        self.window_ended()
        return cpu

    def flush(self) -> None:
        """Write what is kept. Raises OSError."""
        spans, self._spans = self._spans, []
        lines, self._lines = self._lines, []
        lines += [_SPAN_LINE % tuple(["null" if value is None else value for value in span]) for span in spans]
        self._count += len(lines)
        data = "".join(line + "\n" for line in lines).encode("ascii")
        while data:
            data = data[os.write(self._fd, data) :]
        self._flushed_ns = now_ns()

    def close(self, exit_code: int | None) -> None:
        """Write the rest and the end record."""
        self.flush()
        self.write(EndRecord(count=self._count, exit_ns=now_ns(), exit_code=exit_code))
        self.flush()
        os.close(self._fd)

    def calibrate(self) -> None:
        """Keep the counter `reading_gap_ns`: the time by which the span of an empty task exceeds the CPU time in it.

        Our own readings take that time; in a workload of many tiny tasks it would look like waiting.
        """
        read = self.source.task_reading
        gaps = []
        for _ in range(_CALIBRATIONS):
            start = now_ns()
            before = read()
            after = read()
            gaps.append(now_ns() - start - (after[0] - before[0]))
        gap = max(0, sorted(gaps)[_CALIBRATIONS // 2])
        self._write_counter(("process", None, "reading_gap_ns", gap, "ns"), now_ns(), "start")

    def _write_counter(self, reading: Reading, ts_ns: int, at: str) -> None:
        scope, tid, counter, value, unit = reading
        self.write(
            CounterRecord(
                tid=tid,
                ts_ns=ts_ns,
                counter=counter,
                value=value,
                unit=unit,
                scope=scope,
                source=self.source.name,
                at=at,
            )
        )


_current: StreamWriter | None = None


def install(writer: StreamWriter) -> StreamWriter:
    """Make it the process's writer."""
    global _current
    _current = writer
    return writer


def current_writer() -> StreamWriter:
    """The process's writer. Raises RuntimeError outside a measured process."""
    if _current is None:
        raise RuntimeError("not in a measured process: no stream writer is installed")
    return _current


def run_task(task: Callable[[Any], Any], index: int, item: Any) -> Any:
    """Do one task and keep its span: what every model submits instead of the bare task.

    The CPU readings lie inside the two clock stamps, so a span is never shorter than the CPU time in it.
    """
    writer = current_writer()
    read = writer.source.task_reading
    start = now_ns()
    before = read()
    try:
        return task(item)
    finally:
        after = read()
        end = now_ns()
        writer.write_span("task", start, end, index, tuple(map(_difference, after, before)))


def encode_record(record: StreamRecord) -> str:
    """One record as a line of JSON, without the line's end."""
    return encode(vars(record))


def encode(values: Mapping[str, Any]) -> str:
    """One JSON object. `json` itself is not imported: it would cost every worker 2 ms."""
    return "{" + ",".join(f'"{key}":{_value(value)}' for key, value in values.items()) + "}"


def read_start_ticks() -> int | None:
    """When this process was created, in clock ticks since boot (proc(5), field 22); with the pid it is unique."""
    if sys.platform != "linux":
        return None
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib costs a worker 3 ms
        # The second field is the program's name and may hold anything, also blanks and brackets.
        return int(file.read().rpartition(b")")[2].split()[19])


def is_gil_enabled() -> bool:
    """Whether this interpreter runs with its GIL now; always true before 3.13."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return encode(value)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json  # noqa: PLC0415 - only for odd text, see `encode`

    return json.dumps(text)


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _do_nothing() -> None:
    return None
