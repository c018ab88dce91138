"""Files of the wait probe made byte by byte, by tracekit/measure/probe/waits.h and not by the reader's own tables."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load.made_bundles import MAIN

KINDS = {
    "gil": 1, "gil-switch": 2, "lock": 3, "io-read": 4, "io-write": 5, "poll": 6, "sleep": 7, "child-wait": 8,
    "take": 16, "drop": 17, "wakeup": 18, "stack": 19, "thread-start": 32, "thread-end": 33, "thread-name": 34,
    "fork": 35, "image": 36, "exec": 37, "exit": 38, "child-ended": 39, "process-name": 40, "command": 41, "title": 42,
    "text": 48,
}  # fmt: skip
ENDS = {"": 0, "exit": 1, "_exit": 2}
KNOWN, NATIVE = 1, 2
OPEN_TICKS = 0x100

HEADER_BYTES, THREAD_BYTES, SLOT_BYTES, THREADS = 4096, 64, 40, 512
SLOTS_AT = HEADER_BYTES + THREADS * THREAD_BYTES


def slot(
    kind: str,
    at_ms: float = 0,
    dur_ms: float = 0,
    *,
    tid: int = MAIN,
    of: int = 0,
    other: int = 0,
    site: int = 0,
    flags: int = 0,
    **raw: int,
) -> bytes:
    """One slot, stamped in ms after BOOT_NS; `raw` sets start_ns or dur_ns to any 64 bits."""
    start = raw.get("start_ns", BOOT_NS + round(at_ms * MS))
    dur = raw.get("dur_ns", round(dur_ms * MS))
    return struct.pack("<QQQIIIBBH", start, dur, of % 2**64, tid, other, site, flags, 0, KINDS[kind])


def text_slots(number: int, text: str) -> list[bytes]:
    """A text as the slots that hold its parts."""
    data = text.encode() + b"\0"
    pieces = [data[at : at + 32] for at in range(0, len(data), 32)]
    return [
        struct.pack("<32sIBBH", piece, number, part, len(pieces), KINDS["text"]) for part, piece in enumerate(pieces)
    ]


def site_slots(number: int, function: str, file: str, line: int) -> list[bytes]:
    return text_slots(number, f"{function}\0{file}\0{line}")


def entry(
    tid: int,
    *,
    open_kind: str = "",
    open_ms: float = 0,
    of: int = 0,
    start_ms: float | None = None,
    checkpoint_ms: float | None = None,
    cpu_ms: float = 0,
    queue_ms: float = 0,
    site: int = 0,
    ticks: int | None = None,
) -> bytes:
    """One entry of the thread table; `ticks` gives the begin of the open wait by the processor's counter."""
    kind = KINDS[open_kind] if open_kind else 0
    opened = BOOT_NS + round(open_ms * MS)
    if ticks is not None:
        kind, opened = kind | OPEN_TICKS, ticks
    stamps = [0 if ms is None else BOOT_NS + round(ms * MS) for ms in (start_ms, checkpoint_ms)]
    return struct.pack("<IIQQQQQQII", tid, kind, opened, of, *stamps, round(cpu_ms * MS), round(queue_ms * MS), site, 0)


def waits_bytes(
    slots: Sequence[bytes],
    *,
    pid: int = MAIN,
    ppid: int = 1,
    entries: Sequence[bytes] = (),
    began_ms: float = 0,
    ended: str = "exit",
    ended_ms: float = 100,
    exit_code: int = 0,
    executable: str = "/usr/bin/python3",
    **header: Any,
) -> bytes:
    """The whole file. `header` sets what else stands in the header, to any value that has room there."""
    told = {
        "magic": b"TKWAITS",
        "format": 1,
        "slot_bytes": SLOT_BYTES,
        "slots_at": SLOTS_AT,
        "threads": THREADS,
        "start_ticks": 7,
        "monotonic_ns": BOOT_NS + round(began_ms * MS),
        "limit": 1 << 20,
        "ready": len(slots) + 10,
        "taken": len(slots),
        "lost": 0,
        "images": 1,
        "python": 0x030B07F0,
        "functions": 1,
        "ended": ENDS[ended],
        "no_thread_entry": 0,
        "ended_ns": BOOT_NS + round(ended_ms * MS) if ended else 0,
        "ticks": (0, 0, 0, 0),
        "before_cpu_ns": 0,
        "switch_interval_ns": 0,
        "process_cpu_ns": 0,
        **header,
    }
    words = [told[name] for name in ("format", "slot_bytes", "slots_at", "threads")]
    longs = [told["start_ticks"], told["monotonic_ns"], 1, 1]
    longs += [told[name] for name in ("limit", "ready", "taken", "lost")]
    flags = [told[name] for name in ("images", "python", "functions", "ended")]
    head = struct.pack("<8s6I8Q4I", told["magic"], *words, pid, ppid, *longs, *flags)
    head += struct.pack("<iIQ1024s", exit_code, told["no_thread_entry"], told["ended_ns"], executable.encode())
    head += struct.pack("<4Q", *told["ticks"])
    last = [told[name] for name in ("switch_interval_ns", "process_cpu_ns")]
    head += struct.pack("<2Q2I3Q", told["before_cpu_ns"], 0, 0, 0, 0, *last)
    table = b"".join(entries).ljust(THREADS * THREAD_BYTES, b"\0")
    return head.ljust(HEADER_BYTES, b"\0") + table + b"".join(slots)
