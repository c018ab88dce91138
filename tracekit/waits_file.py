"""The wait probe's file, `waits/<pid>.bin`, as tracekit/probe/waits.h lays it down: a header, open waits, slots.

Read by both sides of the wall: `capture` to say how each process ended, `load` to make tables. Any of these files may
be cut off, half written or not ours at all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.errors import BundleCorrupt, BundleTooNew

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"TKWAITS\0"
FORMAT = 1
SUFFIX = ".bin"

WAITS = {
    1: "gil",
    2: "gil-switch",
    3: "lock",
    4: "io-read",
    5: "io-write",
    6: "poll",
    7: "sleep",
    8: "child-wait",
}
"""Kinds of blocking intervals -> their names in the table `waits`."""

GIL_TAKE, GIL_DROP = 16, 17
THREAD_START, THREAD_END, THREAD_NAME = 32, 33, 34
FORK, IMAGE, EXEC, EXIT, CHILD_ENDED = 35, 36, 37, 38, 39
TEXT = 48

KNOWN, NATIVE = 1, 2
"""Bits of `flags`."""

OPEN_TICKS = 0x100
"""Bit of a thread's `open_kind`: its `open_start_ns` is a reading of the processor's counter."""

SLOT = [
    ("start_ns", "<u8"),
    ("dur_ns", "<u8"),
    ("object", "<u8"),
    ("tid", "<u4"),
    ("other", "<u4"),
    ("site", "<u4"),
    ("flags", "u1"),
    ("parts", "u1"),
    ("kind", "<u2"),
]
"""One slot, as numpy takes it: 40 bytes."""

THREAD = [
    ("tid", "<u4"),
    ("open_kind", "<u4"),
    ("open_start_ns", "<u8"),
    ("open_object", "<u8"),
    ("start_ns", "<u8"),
    ("checkpoint_ns", "<u8"),
    ("cpu_ns", "<u8"),
    ("run_queue_ns", "<u8"),
    ("open_site", "<u4"),
    ("reserved", "<u4"),
]
"""One entry of the thread table: 64 bytes."""

LARGEST_TID = 2**22
"""PID_MAX_LIMIT of Linux: no process and no thread has a greater id."""

_HEADER = struct.Struct("<8s6I8Q4IiIQ1024s6Q2IQ")
_LIMIT_AT = struct.calcsize("<8s6I4Q")
_THREADS_AT = 4096
_MOST_THREADS = 1 << 16
_TEXT_BYTES = 32
_SMALL_BYTES = 1 << 20
"""A file up to this size is loaded: a mapping holds a descriptor, and a run may have more processes than there are."""
_HINT = "tracekit list suites"

ENDS = {0: "", 1: "exit", 2: "_exit"}
"""How the process said that it would end; nothing: it was killed, or runs still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the file says of its process. Stamps are CLOCK_MONOTONIC ns."""

    pid: int
    ppid: int
    start_ticks: int
    monotonic_ns: int
    boottime_ns: int
    realtime_ns: int
    slots: int
    """Slots that are in the file, finished or not."""
    bytes: int
    """Of the file, what was used: the rest is room that was never written."""
    lost: int
    """Records that found no room."""
    images: int
    python: tuple[int, int, int] | None
    """Major, minor, micro."""
    sites: bool
    """Whether functions could be read in this Python."""
    ended: str
    exit_code: int | None
    ended_ns: int | None
    no_thread_entry: int
    """Threads whose open wait would not be known."""
    executable: str
    ticks: tuple[tuple[int, int], ...]
    """Readings of the processor's counter with the clock's, at most two; none where it is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsFile:
    """One file: `slots` with the fields of SLOT, `threads` with those of THREAD, and the texts by id."""

    header: Header
    slots: np.ndarray[Any, Any]
    threads: np.ndarray[Any, Any]
    texts: dict[int, str]


def give_no_more_room(path: Path) -> None:
    """Whoever writes into this file goes on in the room that it has, and makes no more. Raises OSError."""
    with path.open("r+b") as file:
        file.seek(_LIMIT_AT)
        file.write(bytes(8))


def is_begun(path: Path) -> bool:
    """Whether there is anything in the file: a process killed in its first moment leaves an empty one, or zeros.

    Raises BundleCorrupt.
    """
    try:
        with path.open("rb") as file:
            return bool(file.read(len(MAGIC)).strip(b"\0"))
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", _HINT) from error


def read_header(path: Path) -> Header:
    """The header alone. Raises BundleCorrupt or BundleTooNew."""
    return _header(path)[0]


def read(path: Path) -> WaitsFile:
    """The whole file; of a large one the slots are mapped and not loaded. Raises BundleCorrupt or BundleTooNew."""
    # capture must not pay for numpy at import: `tracekit --help` loads it.
    import numpy as np  # noqa: PLC0415

    header, slots_at, threads = _header(path)
    try:
        if header.bytes <= _SMALL_BYTES:
            mapped: np.ndarray[Any, Any] = np.fromfile(path, dtype=np.uint8, count=header.bytes)
        else:
            mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", _HINT) from error
    table = mapped[_THREADS_AT : _THREADS_AT + threads * np.dtype(THREAD).itemsize].view(THREAD)
    length = header.slots * np.dtype(SLOT).itemsize
    slots = mapped[slots_at : slots_at + length].view(SLOT)
    return WaitsFile(header=header, slots=slots, threads=table, texts=_texts(slots))


def _header(path: Path) -> tuple[Header, int, int]:
    """The header, the offset of the first slot, and the number of thread entries."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEADER.size)
            size = file.seek(0, 2)
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", _HINT) from error
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        raise BundleCorrupt(f"{path} is no file of the wait probe, or it is cut off", _HINT)
    values = _HEADER.unpack(data)
    (form, slot_bytes, slots_at, threads, pid, ppid, start_ticks, monotonic, boottime, realtime) = values[1:11]
    (_limit, ready, taken, lost, images, python, sites, ended, exit_code, no_entry, ended_ns) = values[11:22]
    (executable, base_ticks, base_ns, later_ticks, later_ns) = values[22:27]
    if form > FORMAT:
        raise BundleTooNew(
            f"{path} has format {form}; this tracekit reads up to {FORMAT}", "pip install --upgrade tracekit"
        )
    threads_end = _THREADS_AT + threads * 64
    if slot_bytes != 40 or threads > _MOST_THREADS or not threads_end <= slots_at <= size:
        raise BundleCorrupt(f"{path}: its header does not describe it", _HINT)
    used = min(taken, ready, (size - slots_at) // slot_bytes)
    header = Header(
        pid=pid,
        ppid=ppid,
        start_ticks=start_ticks,
        monotonic_ns=monotonic,
        boottime_ns=boottime,
        realtime_ns=realtime,
        slots=used,
        bytes=slots_at + used * slot_bytes,
        lost=lost,
        images=images,
        python=(python >> 24, python >> 16 & 0xFF, python >> 8 & 0xFF) if python else None,
        sites=bool(sites),
        ended=ENDS.get(ended, ""),
        exit_code=exit_code if ended else None,
        ended_ns=ended_ns if ended else None,
        no_thread_entry=no_entry,
        executable=executable.split(b"\0", 1)[0].decode("utf-8", "replace"),
        ticks=tuple(pair for pair in ((base_ticks, base_ns), (later_ticks, later_ns)) if base_ticks and pair[0]),
    )
    return header, slots_at, threads


def _texts(slots: np.ndarray[Any, Any]) -> dict[int, str]:
    """The texts by id; one that is not whole is left out, and of a part that is there twice the first counts."""
    import numpy as np  # noqa: PLC0415 - as in `read`

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
