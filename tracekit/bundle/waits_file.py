"""The wait probe's file, `waits/<pid>.bin`, as waits.h in measure/probe/ lays it down: a header, open waits, slots.

Read by both wings: `measure.capture` says how each process ended, `analysis.load` makes tables (load/waits_slots.py has
the slots as arrays). Any of these files may be cut off, half written or not ours at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracekit.bundle.files import HINT, open_file, read_file
from tracekit.core.errors import BundleCorrupt, BundleTooNew

_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i4": "i", "i8": "q"}


def layout(fields: Sequence[tuple[str, str]]) -> struct.Struct:
    """The struct of such fields, whose types are written as numpy writes them: u or i and the bytes, little-endian
    where a `<` stands before it."""
    order = "<" if any(kind.startswith("<") for _, kind in fields) else "="
    return struct.Struct(order + "".join(_CODES[kind.removeprefix("<")] for _, kind in fields))


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

GIL_TAKE, GIL_DROP, WAKEUP, STACK = 16, 17, 18, 19
THREAD_START, THREAD_END, THREAD_NAME = 32, 33, 34
FORK, IMAGE, EXEC, EXIT, CHILD_ENDED = 35, 36, 37, 38, 39
PROCESS_NAME, COMMAND, TITLE = 40, 41, 42
TEXT = 48

KNOWN, NATIVE = 1, 2
"""Bits of `flags`."""

QUEUE_AGE_NS = 500_000_000
"""By how much a thread's run-queue wait in the table may be older than its CPU time there (QUEUE_NS in waits.c)."""

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
"""The fields of one slot, 40 bytes, with their types as numpy writes them."""

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

_HEADER = struct.Struct("<8s6I8Q4IiIQ1024s6Q2I4Q")
_SLOT = layout(SLOT)
_LIMIT_AT = struct.calcsize("<8s6I4Q")
THREADS_AT = 4096
_MOST_THREADS = 1 << 16
_SLOTS_AT_ONCE = 1 << 14
_LONGEST_INTERVAL_NS = 10**15

ENDS = {0: "", 1: "exit", 2: "_exit"}
"""How the process recorded that it exits; empty where it was killed, or still runs."""


FUNCTIONS_READ = 1
NO_FUNCTIONS = {
    0: "why is not recorded",
    2: "no thread was seen in one",
    3: "where this version keeps them is not known",
    4: "it is an older pre-release than the one that is known",
    5: "it does not say where it keeps them",
    6: "its code objects are not laid out as its version's are",
    7: "its frames are not laid out as its version's are",
    8: "one that is known was read as another",
}
"""Why the functions of a Python could not be read, by what the header has for `functions` instead of FUNCTIONS_READ."""


@dataclass(frozen=True)
class Header:
    """The file's header: the process and how much of the file is used. Stamps are CLOCK_MONOTONIC ns."""

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
    version: str
    """The whole version, of a pre-release `3.15.0rc1`; empty without a Python."""
    no_functions: str
    """Why the functions of this Python could not be read; empty where they could, and where there is no Python."""
    ended: str
    exit_code: int | None
    ended_ns: int | None
    no_thread_entry: int
    """Threads whose open wait would not be known."""
    executable: str
    before_cpu_ns: int
    """CPU time of its first thread before the probe came to it: the loader's, or of a forked child the fork's. It is
    in no record of that thread."""
    cpu_ns: int | None
    """CPU time of the whole process when it ended, by its own clock; None where it was killed."""
    switch_interval_ns: int | None
    """sys.getswitchinterval() as its last wait for the GIL had it; None without such a wait."""
    ticks: tuple[tuple[int, int], ...]
    """Readings of the processor's counter with the clock's, at most two; none where it is not used."""


_LEVELS = {0xA: "a", 0xB: "b", 0xC: "rc"}


def _format_version(hexadecimal: int) -> str:
    """The version that a PY_VERSION_HEX stands for."""
    numbers = ".".join(str(hexadecimal >> shift & 0xFF) for shift in (24, 16, 8))
    letter = _LEVELS.get(hexadecimal >> 4 & 0xF, "")
    return f"{numbers}{letter}{hexadecimal & 0xF}" if letter else numbers


def stop_growth(path: Path) -> None:
    """Tell the probe that writes into this file not to enlarge it any more. Raises OSError."""
    with path.open("r+b") as file:
        file.seek(_LIMIT_AT)
        file.write(bytes(8))


def is_begun(path: Path) -> bool:
    """Whether there is anything in the file: a process killed in its first moment leaves an empty one, or zeros.

    Raises BundleCorrupt.
    """
    return bool(read_file(path, length=len(MAGIC)).strip(b"\0"))


def read_header(path: Path) -> Header:
    """The header alone. Raises BundleCorrupt or BundleTooNew."""
    return read_places(path)[0]


def read_child_endings(path: Path) -> dict[int, int]:
    """How the children ended that the process of this file reaped: pid -> status as waitpid has it. Raises as
    `read_header`."""
    return {other: status for _, _, status, _, other, _, _, _, kind in _slots(path) if kind == CHILD_ENDED}


def holds_kind(path: Path, kind: str) -> bool:
    """Whether any wait of this kind, a name of WAITS, is in the file. Raises as `read_header`."""
    return any(WAITS.get(slot[-1]) == kind for slot in _slots(path))


def _slots(path: Path) -> Iterator[tuple[int, ...]]:
    header, slots_at, _ = read_places(path)
    left = header.slots
    try:
        with open_file(path) as file:
            file.seek(slots_at)
            while left > 0 and len(data := file.read(min(left, _SLOTS_AT_ONCE) * _SLOT.size)) >= _SLOT.size:
                whole = len(data) // _SLOT.size
                yield from _SLOT.iter_unpack(data[: whole * _SLOT.size])
                left -= whole
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error


def _check_interval(ns: int) -> int | None:
    return ns if 0 < ns <= _LONGEST_INTERVAL_NS else None


def read_places(path: Path) -> tuple[Header, int, int]:
    """The header, the offset of the first slot, and the number of thread entries. Raises as `read_header`."""
    try:
        with open_file(path) as file:
            data = file.read(_HEADER.size)
            size = file.seek(0, 2)
    except OSError as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        raise BundleCorrupt(f"{path} is no file of the wait probe, or it is cut off", HINT)
    values = _HEADER.unpack(data)
    (form, slot_bytes, slots_at, threads, pid, ppid, start_ticks, monotonic, boottime, realtime) = values[1:11]
    (_limit, ready, taken, lost, images, python, functions, ended, exit_code, no_entry, ended_ns) = values[11:22]
    (executable, base_ticks, base_ns, later_ticks, later_ns) = values[22:27]
    if form > FORMAT:
        raise BundleTooNew(
            f"{path} has format {form}; this tracekit reads up to {FORMAT}", "pip install --upgrade tracekit"
        )
    threads_end = THREADS_AT + threads * 64
    if slot_bytes != 40 or threads > _MOST_THREADS or not threads_end <= slots_at <= size:
        raise BundleCorrupt(f"{path}: its header does not describe it", HINT)
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
        version=_format_version(python) if python else "",
        python=(python >> 24, python >> 16 & 0xFF, python >> 8 & 0xFF) if python else None,
        no_functions=NO_FUNCTIONS.get(functions, NO_FUNCTIONS[0]) if python and functions != FUNCTIONS_READ else "",
        ended=ENDS.get(ended, ""),
        exit_code=exit_code if ended else None,
        ended_ns=ended_ns if ended else None,
        no_thread_entry=no_entry,
        executable=executable.split(b"\0", 1)[0].decode("utf-8", "replace"),
        before_cpu_ns=values[27] if values[27] <= _LONGEST_INTERVAL_NS else 0,
        switch_interval_ns=_check_interval(values[-3]),
        cpu_ns=_check_interval(values[-2]) if ended else None,
        ticks=tuple(pair for pair in ((base_ticks, base_ns), (later_ticks, later_ns)) if base_ticks and pair[0]),
    )
    return header, slots_at, threads
