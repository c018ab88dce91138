"""VizTracer's files, `raw/viztracer-<pid>.json`, to the table `slices`.

The format is Chrome's trace event JSON ("Trace Event Format", Google): complete events (`ph` X) with `ts` and
`dur` in microseconds with three decimals, which VizTracer reads from CLOCK_MONOTONIC; metadata (`ph` M); and
`viztracer_metadata.overflow`, true when the ring of events was full and the oldest were lost. One file at a
time is parsed to typed events and then to columns, so memory is bounded by the largest file, not by their
sum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracekit.load.parse import Count, Microseconds, Struct, decode_file, decoder
from tracekit.tables import from_columns

CATEGORIES = {"fee": "python"}
"""VizTracer's word for a function's entry and exit -> ours. Others are kept as they are."""


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
    events: list[_Event]
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


def read_viztracer(path: Path, run_id: str) -> VizTracerFile:
    """The file's calls, by thread and start. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    events = [event for event in file.events if event.ph == "X"]
    names: dict[str, str] = {}
    columns: dict[str, Any] = {
        "pid": np.array([event.pid for event in events], dtype=np.int64),
        "tid": np.array([event.tid for event in events], dtype=np.int64),
        # A double holds microseconds with three decimals exactly enough for 104 days of uptime.
        "start_ns": np.rint(np.array([event.ts for event in events], dtype=np.float64) * 1_000).astype(np.int64),
        "dur_ns": np.rint(np.array([event.dur for event in events], dtype=np.float64) * 1_000).astype(np.int64),
        "name": np.array([names.setdefault(event.name, event.name) for event in events], dtype=object),
        "category": np.array([CATEGORIES.get(event.cat.lower(), event.cat) for event in events], dtype=object),
    }
    # Of calls that begin together the longer is the outer one.
    order = np.lexsort((-columns["dur_ns"], columns["start_ns"], columns["tid"], columns["pid"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["depth"] = _depths(columns)
    columns["run_id"] = [run_id] * len(events)
    overflow = file.metadata is not None and file.metadata.overflow
    return VizTracerFile(slices=from_columns("slices", columns), overflow=overflow)


def _depths(columns: dict[str, Any]) -> list[int]:
    """How many calls of the same thread each call lies in; the rows are sorted by thread, start, longest
    first."""
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
