"""One stream, `streams/<pid>.jsonl`: what a measured process or the parent wrote, line by line.

A process that was killed leaves no `end` record and perhaps half a last line: its stream is read as far as it
goes and says so (`truncated`). Anything else that does not fit is not a crash of the measured process but a
file that nobody should compute with: BundleCorrupt, with the line's number. Unknown kinds and keys are
ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekit.analysis.load.parse import HINT, Count, Reading, Signed, Struct, Unreadable, decoder
from tracekit.bundle.spec import FORMAT
from tracekit.core.errors import BundleCorrupt, BundleTooNew


class MetaRecord(Struct, kw_only=True):
    """First record. Its fields are in docs/bundle.md, as those of all records here."""

    format: int
    role: str
    pid: Count | None = None
    ppid: Count | None = None
    tid: Count | None = None
    worker: Count | None = None
    start_ticks: Count | None = None
    spawn_requested_ns: Count | None = None
    main_begun_ns: Count | None = None
    main_imported_ns: Count | None = None
    unpickled_ns: Count | None = None
    interpreter_ready_ns: Count | None = None
    python: dict[str, Any] | None = None
    clocks: dict[str, Any] | None = None
    counter_source: str | None = None


class ThreadRecord(Struct, kw_only=True):
    tid: Count
    role: str
    name: str = ""
    interpreter_id: Count | None = None
    worker: Count | None = None
    spawn_requested_ns: Count | None = None
    start_ns: Count | None = None
    end_ns: Count | None = None
    cpu_ns: Count | None = None


class StartRecord(Struct, kw_only=True):
    """What the parent saw of one worker's start and end."""

    worker: Count
    pid: Count | None = None
    tid: Count | None = None
    requested_ns: Count | None = None
    returned_ns: Count | None = None
    item: Count | None = None
    result_ns: Count | None = None
    joined_ns: Count | None = None


class PickleRecord(Struct, kw_only=True):
    item: Count
    item_bytes: Count | None = None
    item_dumps_ns: Count | None = None
    item_loads_ns: Count | None = None
    result_bytes: Count | None = None
    result_dumps_ns: Count | None = None
    result_loads_ns: Count | None = None
    error: str | None = None


class StampRecord(Struct, kw_only=True):
    name: str
    ts_ns: Count


class SpanRecord(Struct, kw_only=True):
    tid: Count
    name: str
    start_ns: Count
    dur_ns: Count
    item: Count | None = None
    cpu_ns: Count | None = None
    voluntary_switches: Count | None = None
    involuntary_switches: Count | None = None


class CounterRecord(Struct, kw_only=True):
    counter: str
    value: Reading
    unit: str
    scope: str
    ts_ns: Count | None = None
    pid: Count | None = None
    tid: Count | None = None
    source: str = ""
    at: str | None = None


class ResultRecord(Struct, kw_only=True):
    checksum: str
    items: Count
    workload_kind: str = ""


class FailureRecord(Struct, kw_only=True):
    type: str = ""
    message: str = ""


class GilRecord(Struct, kw_only=True):
    enabled: bool
    module: str | None = None


class EndRecord(Struct, kw_only=True):
    count: Count
    exit_ns: Count | None = None
    exit_code: Signed | None = None


class _RecordKind(Struct):
    kind: str


@dataclass(slots=True, kw_only=True)
class Stream:
    """The records of one stream by kind. `pid` is the process it is about; None in the parent's."""

    path: Path
    meta: MetaRecord
    pid: int | None
    threads: list[ThreadRecord] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)
    starts: list[StartRecord] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)
    pickled: list[PickleRecord] = field(default_factory=list)
    counters: list[CounterRecord] = field(default_factory=list)
    result: ResultRecord | None = None
    failure: FailureRecord | None = None
    gil: GilRecord | None = None
    end: EndRecord | None = None

    @property
    def truncated(self) -> bool:
        return self.end is None


_kind_of = decoder(_RecordKind)
_DECODERS = {
    "meta": decoder(MetaRecord),
    "thread": decoder(ThreadRecord),
    "span": decoder(SpanRecord),
    "start": decoder(StartRecord),
    "stamp": decoder(StampRecord),
    "pickled": decoder(PickleRecord),
    "counter": decoder(CounterRecord),
    "result": decoder(ResultRecord),
    "failure": decoder(FailureRecord),
    "gil": decoder(GilRecord),
    "end": decoder(EndRecord),
}


def read_stream(path: Path) -> Stream | None:
    """The stream, or None when its process was gone before it had written a whole record.

    Raises BundleCorrupt or BundleTooNew.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    # What comes after the last newline is empty, or a line that its writer could not finish.
    del lines[-1]
    stream: Stream | None = None
    for number, line in enumerate(lines, 1):
        kind, record = _record(path, number, line)
        if stream is None:
            stream = _begin(path, record)
        elif stream.end is not None:
            raise BundleCorrupt(f"{path}, line {number}: there is a record after the end record", HINT)
        else:
            _keep(stream, kind, record, number)
    return stream


def _record(path: Path, number: int, line: bytes) -> tuple[str, Any]:
    try:
        kind = _kind_of(line).kind
        decode = _DECODERS.get(kind)
        return kind, None if decode is None else decode(line)
    except Unreadable as error:
        raise BundleCorrupt(f"{path}, line {number}: {error}", HINT) from error


def _begin(path: Path, meta: Any) -> Stream:
    if not isinstance(meta, MetaRecord):
        raise BundleCorrupt(f"{path}, line 1: the first record is not `meta`", HINT)
    if meta.format > FORMAT:
        raise BundleTooNew(
            f"{path} has format {meta.format}; this tracekit reads up to {FORMAT}",
            "pip install --upgrade tracekit",
        )
    if meta.role != "parent" and meta.pid is None:
        raise BundleCorrupt(f"{path}, line 1: `meta` has no pid", HINT)
    return Stream(path=path, meta=meta, pid=None if meta.role == "parent" else meta.pid)


def _keep(stream: Stream, kind: str, record: Any, number: int) -> None:
    match record:
        case ThreadRecord():
            stream.threads.append(record)
        case SpanRecord():
            stream.spans.append(record)
        case StartRecord():
            stream.starts.append(record)
        case PickleRecord():
            stream.pickled.append(record)
        case StampRecord():
            stream.stamps[record.name] = record.ts_ns
        case CounterRecord():
            stream.counters.append(record)
        case ResultRecord():
            stream.result = record
        case FailureRecord():
            stream.failure = record
        case GilRecord():
            stream.gil = record
        case EndRecord():
            if record.count != number - 1:
                raise BundleCorrupt(
                    f"{stream.path} has {number - 1} records before its end, which counts {record.count}", HINT
                )
            stream.end = record
        case MetaRecord():
            raise BundleCorrupt(f"{stream.path}, line {number}: a second `meta`", HINT)
        case _:
            assert kind not in _DECODERS
