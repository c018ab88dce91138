"""Reads VizTracer's files, `raw/viztracer-<pid>.json`, into the table `slices`.

The format is Chrome's ("Trace Event Format", Google): complete events (`ph` X) with `ts` and `dur` in microseconds with
three decimals, on CLOCK_MONOTONIC; metadata (`ph` M); and `viztracer_metadata.overflow`, true when the ring buffer was
full and the oldest events were lost. That flag and the first event are read of every file, without parsing it, so that
a report knows what the traces lack. On request one file at a time is parsed to typed events and then to columns, so
that the largest file bounds the memory, not their sum.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.parse import Count, Microseconds, Raw, Struct, Unreadable, decode_file, decoder
from tracekit.analysis.tables import from_columns
from tracekit.bundle.files import HINT
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt
from tracekit.core.notices import Notice, notice
from tracekit.core.units import format_ns, format_value

CATEGORIES = {"fee": "python"}
"""VizTracer's category for a function's entry and exit -> ours; other categories are kept."""

_BATCH = 50_000
"""Events decoded at a time."""

TRACE_NOTICES = ("trace-overflow", "trace-misaligned", "capture-incomplete")
"""The notices that say what a trace lacks: whoever shows calls shows them."""

_HEAD, _TAIL = 1 << 18, 1 << 13
"""Bytes at the begin of a file, with its first call after the names of its threads; and at its end, with the flag."""
_OVERFLOW = re.compile(rb'"overflow"\s*:\s*true')
_CALL = re.compile(rb'\{[^{}]*"ph"\s*:\s*"X"[^{}]*\}')
_TIMES = tuple(re.compile(rb'"%s"\s*:\s*(\d+(?:\.\d+)?)' % name) for name in (b"ts", b"dur"))
_MARGIN = 1.5
"""The ring that is offered, over what the calls per second at the run's end make: they are seldom even."""


class _ChromeEvent(Struct, gc=False):
    ph: str
    name: str = ""
    cat: str = ""
    pid: Count = 0
    tid: Count = 0
    ts: Microseconds = 0.0
    dur: Microseconds = 0.0


class _ChromeFile(Struct, rename={"events": "traceEvents"}):
    events: list[Raw]


@dataclass(frozen=True, slots=True, kw_only=True)
class VizTracerFile:
    """One file: its calls as rows of `slices`."""

    slices: pd.DataFrame

    @property
    def first_ns(self) -> int:
        return int(self.slices["start_ns"].min())

    @property
    def last_ns(self) -> int:
        return int((self.slices["start_ns"] + self.slices["dur_ns"]).max())


_decode = decoder(_ChromeFile)
_decode_event = decoder(_ChromeEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEnds:
    """What the two ends of a file say: whether the oldest calls are lost, and its first and its last call.

    The ring keeps calls in the order of their ends, so all that ended after the first one are there.
    """

    overflow: bool
    first: tuple[int, int] | None
    """Its start and its end, ns; None where the file has no call."""
    last: tuple[int, int] | None


def add_traces(
    bundle: Bundle, spec: RunSpec, window: Window, run: Mapping[str, Any], columns: Columns, *, calls: bool
) -> None:
    """Add what is to be said of the bundle's traces, and with `calls` their calls, which can be hundreds of megabytes.

    `run` has the run's `start_ns` and `wall_ns`. Raises BundleCorrupt.
    """
    overflown: dict[str, TraceEnds] = {}
    for path in bundle.viztracer_traces():
        ends = read_ends(path)
        stamps = None if ends.first is None or ends.last is None else (ends.first[0], ends.last[1])
        if ends.overflow:
            overflown[path.stem.partition("-")[2]] = ends
        if calls:
            trace = read_viztracer(path, spec.run_id)
            stamps = (trace.first_ns, trace.last_ns) if len(trace.slices) else None
        distance = 0 if stamps is None else window.distance_ns(*stamps)
        if distance:
            fields = {"run_id": spec.run_id, "workload": spec.workload, "capture": spec.capture}
            other = notice("trace-misaligned", file=path.name, distance=format_ns(distance), **fields)
            columns.add_notice(other, spec.run_id)
        elif calls:
            columns.add_frame("slices", trace.slices)
    if overflown:
        columns.add_notice(_describe_overflow(overflown, spec, run), spec.run_id)


def _describe_overflow(overflown: Mapping[str, TraceEnds], spec: RunSpec, run: Mapping[str, Any]) -> Notice:
    """How much of the run the traces lack, and the ring that would have held it with as many calls per second."""
    begin, wall = run.get("start_ns"), run.get("wall_ns")
    known = [(ends.first[1], ends.last[1]) for ends in overflown.values() if ends.first and ends.last]
    lacks, times = "an unknown part of the run", 10.0
    if begin is not None and wall and known:
        lost = min(max(max(first for first, _ in known) - begin, 0), wall)
        lacks = f"the first {format_ns(lost)} of {format_ns(wall)} ({format_value(lost / wall, 'share')})"
        times = max((last - begin) / max(last - first, 1) for first, last in known)
    return notice(
        "trace-overflow",
        bool(spec.program),
        entries=f"{spec.trace_entries:,}",
        processes=f"process{'es' if len(overflown) > 1 else ''} {', '.join(overflown)}",
        lacks=lacks,
        run_id=spec.run_id,
        workload=spec.workload,
        needed=_round_up(_MARGIN * max(times, 1.0) * spec.trace_entries),
    )


def _round_up(count: float) -> int:
    """To one digit: it is an estimate."""
    unit = int(f"1{'0' * (len(str(int(count))) - 1)}")
    return math.ceil(count / unit) * unit


def read_ends(path: Path) -> TraceEnds:
    """Read both ends of a file, whatever its size. Raises BundleCorrupt."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(max(0, path.stat().st_size - _TAIL))
            tail = file.read(_TAIL)
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    return TraceEnds(
        overflow=_OVERFLOW.search(tail) is not None,
        first=next(_find_calls(head), None),
        last=max(_find_calls(tail), key=itemgetter(1), default=None),
    )


def _find_calls(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end, ns, of the calls in a piece of a file."""
    for call in _CALL.finditer(data):
        times = [found.group(1) for of in _TIMES if (found := of.search(call.group())) is not None]
        if len(times) == len(_TIMES):
            start, length = (round(float(time) * 1_000) for time in times)
            yield start, start + length


def read_viztracer(path: Path, run_id: str) -> VizTracerFile:
    """Read the calls, sorted by thread and start. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    columns = _columns(file.events, path)
    # Of calls that begin at the same time the longer is the outer one.
    order = np.lexsort((-columns["dur_ns"], columns["start_ns"], columns["tid"], columns["pid"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["depth"] = _compute_depths(columns)
    columns["run_id"] = [run_id] * len(order)
    return VizTracerFile(slices=from_columns("slices", columns))


def _columns(events: list[Raw], path: Path) -> dict[str, Any]:
    """The complete events as arrays (int64, names as objects). The list is used up meanwhile, to save memory."""
    parts: dict[str, list[Any]] = {name: [] for name in ("pid", "tid", "start_ns", "dur_ns", "name", "category")}
    names: dict[str, str] = {}
    try:
        while events:
            taken = [_decode_event(raw) for raw in events[-_BATCH:]]
            del events[-_BATCH:]
            calls = [event for event in taken if event.ph == "X"]
            parts["pid"].append(np.array([event.pid for event in calls], dtype=np.int64))
            parts["tid"].append(np.array([event.tid for event in calls], dtype=np.int64))
            parts["start_ns"].append(_to_ns([event.ts for event in calls]))
            parts["dur_ns"].append(_to_ns([event.dur for event in calls]))
            # One string per function, not one per call.
            shared = [names.setdefault(event.name, event.name) for event in calls]
            parts["name"].append(np.array(shared, dtype=object))
            categories = [CATEGORIES.get(event.cat.lower(), event.cat) for event in calls]
            parts["category"].append(np.array(categories, dtype=object))
    except Unreadable as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    empty: dict[str, Any] = {"name": object, "category": object}
    return {
        name: np.concatenate(arrays) if arrays else np.array([], dtype=empty.get(name, np.int64))
        for name, arrays in parts.items()
    }


def _to_ns(microseconds: list[float]) -> np.ndarray[Any, Any]:
    # A double is exact to the nanosecond up to 104 days of uptime.
    return np.rint(np.array(microseconds, dtype=np.float64) * 1_000).astype(np.int64)


def _compute_depths(columns: dict[str, Any]) -> list[int]:
    """How many calls of the same thread contain each call. Rows are sorted by thread, start, longest first."""
    depths: list[int] = []
    ends: list[int] = []
    place: tuple[int, int] | None = None
    rows = (columns[name].tolist() for name in ("pid", "tid", "start_ns", "dur_ns"))
    for pid, tid, start, duration in zip(*rows, strict=True):
        if place != (pid, tid):
            place, ends = (pid, tid), []
        # A call that begins when another ends is not in it.
        while ends and ends[-1] <= start:
            ends.pop()
        depths.append(len(ends))
        ends.append(start + duration)
    return depths
