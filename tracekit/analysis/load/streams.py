"""Reads a stream, `streams/<pid>.jsonl`: the records of a measured process or of the parent, one per line.

A killed process leaves no `end` record and perhaps an incomplete last line: its stream is read up to there and marked
`truncated`. Any other error raises BundleCorrupt with the line's number. Unknown kinds and keys are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tracekit.analysis.load.parse import Struct, Unreadable, decoder, record_struct
from tracekit.bundle.files import HINT, read_file
from tracekit.bundle.spec import FORMAT
from tracekit.bundle.stream_schema import (
    RECORDS,
    CounterRecord,
    EndRecord,
    FailureRecord,
    GilRecord,
    MetaRecord,
    ObservationRecord,
    PickledRecord,
    ResultRecord,
    SpanRecord,
    StampRecord,
    StartRecord,
    StreamRecord,
    ThreadRecord,
)
from tracekit.core.errors import BundleCorrupt, BundleTooNew


class _RecordKind(Struct):
    kind: str


@dataclass(slots=True, kw_only=True)
class Stream:
    """The records of one stream by kind. `pid` is the process that wrote it; None for the parent's stream."""

    path: Path
    meta: MetaRecord
    pid: int | None
    threads: list[ThreadRecord] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)
    starts: list[StartRecord] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)
    pickled: list[PickledRecord] = field(default_factory=list)
    counters: list[CounterRecord] = field(default_factory=list)
    observations: list[ObservationRecord] = field(default_factory=list)
    result: ResultRecord | None = None
    failure: FailureRecord | None = None
    gil: GilRecord | None = None
    end: EndRecord | None = None

    @property
    def truncated(self) -> bool:
        return self.end is None


_kind_of = decoder(_RecordKind)
_DECODERS = {kind: decoder(record_struct(record)) for kind, record in RECORDS.items()}


def read_stream(path: Path) -> Stream | None:
    """Read a stream; None when it has no complete record. Raises BundleCorrupt or BundleTooNew."""
    lines = read_file(path).split(b"\n")
    # After the last newline there is nothing, or a line that the process could not finish.
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


def _record(path: Path, number: int, line: bytes) -> tuple[str, StreamRecord | None]:
    try:
        kind = _kind_of(line).kind
        decode = _DECODERS.get(kind)
        return kind, None if decode is None else decode(line)
    except Unreadable as error:
        raise BundleCorrupt(f"{path}, line {number}: {error}", HINT) from error


def _begin(path: Path, meta: StreamRecord | None) -> Stream:
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


def _keep(stream: Stream, kind: str, record: StreamRecord | None, number: int) -> None:
    match record:
        case ThreadRecord():
            stream.threads.append(record)
        case SpanRecord():
            stream.spans.append(record)
        case StartRecord():
            stream.starts.append(record)
        case PickledRecord():
            stream.pickled.append(record)
        case StampRecord():
            stream.stamps[record.name] = record.ts_ns
        case CounterRecord():
            stream.counters.append(record)
        case ObservationRecord():
            stream.observations.append(record)
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
