"""The slots, threads and texts of a wait probe's file, as arrays. Layout: bundle/waits_file.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.bundle.waits_file import HINT, SLOT, TEXT, THREAD, THREADS_AT, Header, read_places
from tracekit.core.errors import BundleCorrupt

_TEXT_BYTES = 32
_SMALL_BYTES = 1 << 20
"""A file up to this size is loaded: a mapping holds a descriptor, and a run may have more processes than there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsFile:
    """One file: `slots` with the fields of SLOT, `threads` with those of THREAD, and the texts by id."""

    header: Header
    slots: np.ndarray[Any, Any]
    threads: np.ndarray[Any, Any]
    texts: dict[int, str]


def read_slots(path: Path) -> WaitsFile:
    """The whole file; of a large one the slots are mapped and not loaded. Raises BundleCorrupt or BundleTooNew."""
    header, slots_at, threads = read_places(path)
    try:
        if header.bytes <= _SMALL_BYTES:
            mapped: np.ndarray[Any, Any] = np.fromfile(path, dtype=np.uint8, count=header.bytes)
        else:
            mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    table = mapped[THREADS_AT : THREADS_AT + threads * np.dtype(THREAD).itemsize].view(THREAD)
    length = header.slots * np.dtype(SLOT).itemsize
    slots = mapped[slots_at : slots_at + length].view(SLOT)
    return WaitsFile(header=header, slots=slots, threads=table, texts=_texts(slots))


def _texts(slots: np.ndarray[Any, Any]) -> dict[int, str]:
    """The texts by id; one that is not whole is left out, and of a part that is there twice the first counts."""
    chosen = slots[slots["kind"] == TEXT]
    chosen = chosen[chosen["flags"] < chosen["parts"]]
    chosen = chosen[np.lexsort((chosen["flags"], chosen["site"]))]
    ids, part = chosen["site"], chosen["flags"]
    again = np.zeros(len(chosen), dtype=bool)
    again[1:] = (ids[1:] == ids[:-1]) & (part[1:] == part[:-1])
    chosen = chosen[~again]
    numbers, firsts, counts = np.unique(chosen["site"], return_index=True, return_counts=True)
    # Its parts are all different and in order: that the last one is there says that all are.
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
