"""Reads VizTracer's files, `raw/viztracer-<pid>.json`, into the table `slices`.

The format is Chrome's ("Trace Event Format", Google): complete events (`ph` X) with `ts` and `dur` in microseconds with
three decimals, on CLOCK_MONOTONIC; metadata (`ph` M); and `viztracer_metadata.overflow`, true when the ring buffer was
full and the oldest events were lost. One file at a time is parsed to typed events and then to columns, so that the
largest file bounds the memory, not their sum.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from tracekit.core.notices import notice
from tracekit.core.units import format_ns

CATEGORIES = {"fee": "python"}
"""VizTracer's category for a function's entry and exit -> ours; other categories are kept."""

_BATCH = 50_000
"""Events decoded at a time."""


class _ChromeEvent(Struct, gc=False):
    ph: str
    name: str = ""
    cat: str = ""
    pid: Count = 0
    tid: Count = 0
    ts: Microseconds = 0.0
    dur: Microseconds = 0.0


class _ChromeMetadata(Struct):
    overflow: bool = False
    version: str = ""


class _ChromeFile(Struct, rename={"events": "traceEvents", "metadata": "viztracer_metadata"}):
    events: list[Raw]
    metadata: _ChromeMetadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VizTracerFile:
    """One file: its calls as rows of `slices`, and whether the oldest calls are lost."""

    slices: pd.DataFrame
    overflow: bool

    @property
    def first_ns(self) -> int:
        return int(self.slices["start_ns"].min())

    @property
    def last_ns(self) -> int:
        return int((self.slices["start_ns"] + self.slices["dur_ns"]).max())


_decode = decoder(_ChromeFile)
_decode_event = decoder(_ChromeEvent)


def add_calls(bundle: Bundle, spec: RunSpec, window: Window, columns: Columns) -> None:
    """Add the bundle's calls, which can be hundreds of megabytes. Raises BundleCorrupt."""
    for path in bundle.viztracer_traces():
        trace = read_viztracer(path, spec.run_id)
        if trace.overflow:
            pid, entries = path.stem.partition("-")[2], f"{len(trace.slices):,}"
            lost = notice("trace-overflow", entries=entries, pid=pid, run_id=spec.run_id, workload=spec.workload)
            columns.add_notice(lost, spec.run_id)
        if _is_aligned(trace, path.name, spec, window, columns):
            columns.add_frame("slices", trace.slices)


def _is_aligned(trace: VizTracerFile, file: str, spec: RunSpec, window: Window, columns: Columns) -> bool:
    if not len(trace.slices):
        return False
    distance = window.distance_ns(trace.first_ns, trace.last_ns)
    if distance:
        fields = {"run_id": spec.run_id, "workload": spec.workload, "capture": spec.capture}
        columns.add_notice(notice("trace-misaligned", file=file, distance=format_ns(distance), **fields), spec.run_id)
    return distance == 0


def read_viztracer(path: Path, run_id: str) -> VizTracerFile:
    """Read the calls, sorted by thread and start. Raises BundleCorrupt."""
    file = decode_file(_decode, path)
    columns = _columns(file.events, path)
    # Of calls that begin at the same time the longer is the outer one.
    order = np.lexsort((-columns["dur_ns"], columns["start_ns"], columns["tid"], columns["pid"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["depth"] = _compute_depths(columns)
    columns["run_id"] = [run_id] * len(order)
    overflow = file.metadata is not None and file.metadata.overflow
    return VizTracerFile(slices=from_columns("slices", columns), overflow=overflow)


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
