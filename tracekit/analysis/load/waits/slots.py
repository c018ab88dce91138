"""Reads a file of the wait probe into arrays: slots, thread table and texts. Layout: bundle/waits_file.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.align import TickClock, Window
from tracekit.bundle import waits_file
from tracekit.bundle.files import HINT, open_file
from tracekit.bundle.waits_file import LARGEST_TID, SLOT, TEXT, THREAD, THREADS_AT, WAITS, Header, read_places
from tracekit.core.errors import BundleCorrupt

Array = np.ndarray[Any, Any]

_TEXT_BYTES = 32
_SMALL_BYTES = 1 << 20
"""Files up to this size are loaded, not mapped: a mapping holds a file descriptor, and a run may have more processes
than the limit allows descriptors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsFile:
    """One file: structured arrays of its slots (dtype SLOT) and of its thread table (dtype THREAD), and its texts."""

    header: Header
    slots: Array
    threads: Array
    texts: dict[int, str]
    """By id, the `site` of a slot."""


def read_slots(path: Path) -> WaitsFile:
    """Read a file; the slots of a large one are mapped, not loaded. Raises BundleCorrupt or BundleTooNew."""
    header, slots_at, threads = read_places(path)
    try:
        with open_file(path) as file:
            if header.bytes <= _SMALL_BYTES:
                mapped: Array = np.fromfile(file, dtype=np.uint8, count=header.bytes)
            else:
                mapped = np.memmap(file, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    table = mapped[THREADS_AT : THREADS_AT + threads * np.dtype(THREAD).itemsize].view(THREAD)
    length = header.slots * np.dtype(SLOT).itemsize
    slots = mapped[slots_at : slots_at + length].view(SLOT)
    return WaitsFile(header=header, slots=slots, threads=table, texts=_join_texts(slots))


def _join_texts(slots: Array) -> dict[int, str]:
    """Join the parts of each text. A text with a missing part is left out; of a repeated part the first counts."""
    chosen = slots[slots["kind"] == TEXT]
    chosen = chosen[chosen["flags"] < chosen["parts"]]
    chosen = chosen[np.lexsort((chosen["flags"], chosen["site"]))]
    ids, part = chosen["site"], chosen["flags"]
    again = np.zeros(len(chosen), dtype=bool)
    again[1:] = (ids[1:] == ids[:-1]) & (part[1:] == part[:-1])
    chosen = chosen[~again]
    numbers, firsts, counts = np.unique(chosen["site"], return_index=True, return_counts=True)
    # The parts are distinct and sorted: if the last one has the highest number, none is missing.
    lasts = firsts + counts - 1
    whole = (chosen["flags"][lasts] == counts - 1) & (chosen["parts"][lasts] == counts)
    data = chosen.tobytes()
    return {
        number: b"".join(data[at : at + _TEXT_BYTES] for at in range(first * 40, (first + count) * 40, 40))
        .rstrip(b"\0")
        .decode("utf-8", "replace")
        for number, first, count in zip(
            numbers[whole].tolist(), firsts[whole].tolist(), counts[whole].tolist(), strict=True
        )
    }


def find_open_waits(file: WaitsFile, window: Window, clock: TickClock, end_ns: int | None) -> Array:
    """Make slots of the waits that the thread table has open: they lasted until the process ended, at `end_ns`."""
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
    """A mask of the open waits that `waited` has as records, too: the thread ended before it could clear its entry."""
    if not len(pending):
        return np.zeros(0, dtype=bool)
    alike = waited[pd.Series(waited["start_ns"]).isin(pending["start_ns"].tolist()).to_numpy()]
    found = set(zip(alike["start_ns"].tolist(), alike["tid"].tolist(), strict=True))
    places = zip(pending["start_ns"].tolist(), pending["tid"].tolist(), strict=True)
    return np.array([place in found for place in places], dtype=bool)
