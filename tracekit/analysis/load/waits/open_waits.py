"""What the threads of a process still waited for when it was gone, from the thread table of the wait probe's file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.align import TickClock, Window
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID, WAITS

Array = np.ndarray[Any, Any]


def open_waits(file: WaitsFile, window: Window, clock: TickClock, end_ns: int | None) -> Array:
    """The waits of the thread table that lasted until the process ended, as slots."""
    if end_ns is None:
        return np.empty(0, waits_file.SLOT)
    table, kinds = file.threads, file.threads["open_kind"] & ~np.uint32(waits_file.OPEN_TICKS)
    in_ticks = (table["open_kind"] & waits_file.OPEN_TICKS) > 0
    starts = np.where(in_ticks, clock.ns(table["open_start_ns"]), table["open_start_ns"])
    chosen = np.isin(kinds, list(WAITS)) & (starts > 0) & (table["tid"] > 0) & (table["tid"] <= LARGEST_TID)
    chosen &= window.holds(starts, np.full(len(table), end_ns, dtype=np.uint64))
    slots = np.zeros(np.count_nonzero(chosen), waits_file.SLOT)
    slots["start_ns"] = starts[chosen]
    slots["dur_ns"] = np.uint64(end_ns) - starts[chosen]
    slots["kind"] = kinds[chosen]
    for name, source in (("object", "open_object"), ("tid", "tid"), ("site", "open_site")):
        slots[name] = table[source][chosen]
    return slots


def are_recorded(pending: Array, waited: Array) -> Array:
    """Which of these open waits are among the records: their writer was gone before it could clear its entry."""
    if not len(pending):
        return np.zeros(0, dtype=bool)
    alike = waited[pd.Series(waited["start_ns"]).isin(pending["start_ns"].tolist()).to_numpy()]
    found = set(zip(alike["start_ns"].tolist(), alike["tid"].tolist(), strict=True))
    places = zip(pending["start_ns"].tolist(), pending["tid"].tolist(), strict=True)
    return np.array([place in found for place in places], dtype=bool)
