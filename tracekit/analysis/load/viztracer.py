"""VizTracer's files, `raw/viztracer-<pid>.json`, to the table `slices`.

The format is Chrome's trace event JSON ("Trace Event Format", Google): complete events (`ph` X) with `ts` and
`dur` in microseconds with three decimals, which VizTracer reads from CLOCK_MONOTONIC; metadata (`ph` M); and
`viztracer_metadata.overflow`, true when the ring of events was full and the oldest were lost. One file at a
time is parsed to typed events and then to columns, so memory is bounded by the largest file, not by their
sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.parse import HINT, Count, Microseconds, Raw, Struct, Unreadable, decode_file, decoder
from tracekit.analysis.tables import from_columns
from tracekit.core.errors import BundleCorrupt

CATEGORIES = {"fee": "python"}
"""VizTracer's word for a function's entry and exit -> ours. Others are kept as they are."""


_BATCH = 50_000
"""Events that are decoded at a time."""


class _Event(Struct, gc=False):
    ph: str
    name: str = ""
    cat: str = ""
    pid: Count = 0
    tid: Count = 0
    ts: Microseconds = 0.0
    dur: Microseconds = 0.0


class _Metadata(Struct):
    overflow: bool = False
    version: str = ""


class _File(Struct, rename={"events": "traceEvents", "metadata": "viztracer_metadata"}):
    events: list[Raw]
    metadata: _Metadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VizTracerFile:
    """One file: its calls as `slices`, and whether the oldest are lost."""

    slices: pd.DataFrame
    overflow: bool

    @property
    def first_ns(self) -> int:
        return int(self.slices["start_ns"].min())

    @property
    def last_ns(self) -> int:
        return int((self.slices["start_ns"] + self.slices["dur_ns"]).max())


_decode = decoder(_File)
_decode_event = decoder(_Event)


def read_viztracer(path: Path, run_id: str) -> VizTracerFile:
    """The file's calls, by thread and start. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    columns = _columns(file.events, path)
    # Of calls that begin together the longer is the outer one.
    order = np.lexsort((-columns["dur_ns"], columns["start_ns"], columns["tid"], columns["pid"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["depth"] = _depths(columns)
    columns["run_id"] = [run_id] * len(order)
    overflow = file.metadata is not None and file.metadata.overflow
    return VizTracerFile(slices=from_columns("slices", columns), overflow=overflow)


def _columns(events: list[Raw], path: Path) -> dict[str, Any]:
    """The complete events as arrays. The list is used up, so that events and arrays are never all in memory."""
    parts: dict[str, list[Any]] = {name: [] for name in ("pid", "tid", "start_ns", "dur_ns", "name", "category")}
    names: dict[str, str] = {}
    try:
        while events:
            taken = [_decode_event(raw) for raw in events[-_BATCH:]]
            del events[-_BATCH:]
            calls = [event for event in taken if event.ph == "X"]
            parts["pid"].append(np.array([event.pid for event in calls], dtype=np.int64))
            parts["tid"].append(np.array([event.tid for event in calls], dtype=np.int64))
            parts["start_ns"].append(_nanoseconds([event.ts for event in calls]))
            parts["dur_ns"].append(_nanoseconds([event.dur for event in calls]))
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


def _nanoseconds(microseconds: list[float]) -> np.ndarray[Any, Any]:
    # A double holds microseconds with three decimals exactly enough for 104 days of uptime.
    return np.rint(np.array(microseconds, dtype=np.float64) * 1_000).astype(np.int64)


def _depths(columns: dict[str, Any]) -> list[int]:
    """How many calls of the same thread each call lies in; the rows are sorted by thread, start, longest
    first.
    """
    depths: list[int] = []
    ends: list[int] = []
    place: tuple[int, int] | None = None
    rows = (columns[name].tolist() for name in ("pid", "tid", "start_ns", "dur_ns"))
    for pid, tid, start, duration in zip(*rows, strict=True):
        if place != (pid, tid):
            place, ends = (pid, tid), []
        # A call that begins when another ends lies beside it, not in it.
        while ends and ends[-1] <= start:
            ends.pop()
        depths.append(len(ends))
        ends.append(start + duration)
    return depths
