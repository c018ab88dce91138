"""Kernel traces made by hand: pages as the ring buffer has them, from a list of events per CPU.

The layouts are none of any real kernel's, so that a reader that knows one by heart fails.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE_BYTES = 4096
HEADER = 24
HEADER_PAGE = """\
\tfield: local_t commit;\toffset:0;\tsize:8;\tsigned:1;
\tfield: u64 timestamp;\toffset:8;\tsize:8;\tsigned:0;
\tfield: int overwrite;\toffset:0;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:24;\tsize:4072;\tsigned:0;
"""

COMMON = """\
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;
"""
FIELDS = {
    "sched/sched_switch": (11, "pid_t next_pid@8:4s; pid_t prev_pid@12:4s; long prev_state@16:8s"),
    "sched/sched_wakeup": (12, "char comm[16]@8:16s; pid_t pid@24:4s"),
    "sched/sched_waking": (16, "pid_t pid@8:4s"),
    "sched/sched_process_exec": (13, "__data_loc char[] filename@8:4u; pid_t pid@12:4s; pid_t old_pid@16:4s"),
    "sched/sched_process_exit": (14, "char comm[16]@8:16s; pid_t pid@24:4s; bool group_dead@28:1u"),
    "task/task_newtask": (15, "u64 clone_flags@8:8u; pid_t pid@16:4s"),
}
PROBE_IDS = {
    ("take_gil", "entry"): 21,
    ("take_gil", "return"): 22,
    ("drop_gil", "entry"): 23,
    ("drop_gil", "return"): 24,
}

TRACEKIT, START = 40, 41
"""The process tracekit and the thread of it that starts the run."""
RUNNING, SLEEPING, DISK, PREEMPTED = 0, 1, 2, 0x100
THREAD = 0x00010000 | 0x100
FORK = 0x11

Event = tuple[int, bytes]
"""Time in ns, and the event's bytes."""


def format_text(number: int, fields: str) -> str:
    """One `format` file."""
    lines = []
    for item in filter(None, (part.strip() for part in fields.split(";"))):
        declaration, _, place = item.partition("@")
        offset, _, size = place.partition(":")
        signed = int(size[-1] == "s")
        lines.append(f"\tfield:{declaration};\toffset:{offset};\tsize:{size[:-1]};\tsigned:{signed};\n")
    return f'name: x\nID: {number}\nformat:\n{COMMON}\n{"".join(lines)}\nprint fmt: "%d", REC->x\n'


def meta(**other: Any) -> dict[str, Any]:
    """meta.json's content."""
    events = {name: format_text(number, fields) for name, (number, fields) in FIELDS.items()}
    uprobes = {}
    for (function, at), number in PROBE_IDS.items():
        name = f"tracekit_40_7_0/{function}_{at}"
        fields = "unsigned long __probe_ip@8:8u"
        is_take = (function, at) == ("take_gil", "entry")
        events[name] = format_text(number, f"{fields}; u64 gil@16:8u" if is_take else fields)
        uprobes[name] = {"function": function, "at": at, "symbol": function}
    cpus = {"cpu0": {"overrun": 0, "commit overrun": 0, "dropped events": 0}}
    facts = {
        "format": 2,
        "clock": "mono",
        "page_bytes": PAGE_BYTES,
        "header_page": HEADER_PAGE,
        "events": events,
        "uprobes": uprobes,
        "path": "/usr/lib/libpython.so",
        "pid": TRACEKIT,
        "start_tid": START,
        "cpus": cpus,
    }
    return {**facts, **other}


def common(number: int, pid: int) -> bytes:
    return struct.pack("<HBBi", number, 0, 0, pid)


def switch(ts_ns: int, prev: int, state: int, following: int) -> Event:
    """`prev` leaves the CPU in that state, `following` gets it."""
    return ts_ns, common(11, prev) + struct.pack("<iiq", following, prev, state)


def wakeup(ts_ns: int, tid: int) -> Event:
    return ts_ns, common(12, 1) + b"x".ljust(16, b"\0") + struct.pack("<i", tid)


def waking(ts_ns: int, tid: int) -> Event:
    return ts_ns, common(16, 1) + struct.pack("<i", tid)


def executed(ts_ns: int, tid: int, path: bytes, caller: int | None = None) -> Event:
    text = path + b"\0"
    place = struct.pack("<Iii", len(text) << 16 | 20, tid, tid if caller is None else caller)
    return ts_ns, common(13, tid) + place + text + b"\0" * (-len(text) % 4)


def ended(ts_ns: int, tid: int, name: bytes = b"python") -> Event:
    return ts_ns, common(14, tid) + name.ljust(16, b"\0") + struct.pack("<iBxxx", tid, 1)


def born(ts_ns: int, tid: int, parent: int, flags: int = FORK) -> Event:
    return ts_ns, common(15, parent) + struct.pack("<Qi", flags, tid)


def probe(ts_ns: int, tid: int, function: str, at: str, gil: int = 0x5500) -> Event:
    """`function` is take or drop; a take has the address of its GIL."""
    address = struct.pack("<Q", gil) if (function, at) == ("take", "entry") else b""
    return ts_ns, common(PROBE_IDS[f"{function}_gil", at], tid) + struct.pack("<Q", 0x7F00) + address


def data_record(payload: bytes, delta: int) -> bytes:
    """One event after `delta` ns, as the ring buffer writes it."""
    payload += b"\0" * (-len(payload) % 4)
    if len(payload) <= 112:
        return struct.pack("<I", delta << 5 | len(payload) // 4) + payload
    return struct.pack("<II", delta << 5, len(payload) + 4) + payload


def time_extend(delta: int) -> bytes:
    return struct.pack("<II", (delta & (1 << 27) - 1) << 5 | 30, delta >> 27)


def time_stamp(ts_ns: int) -> bytes:
    """An absolute time, of which the record has 59 bits."""
    low = ts_ns & (1 << 59) - 1
    return struct.pack("<II", (low & (1 << 27) - 1) << 5 | 31, low >> 27)


def discarded(size: int, delta: int) -> bytes:
    """An event that its writer took back, `size` bytes with its head."""
    return struct.pack("<II", delta << 5 | 29, size - 4) + b"\xff" * (size - 8)


def page(first_ns: int, records: bytes, *, missed: bool = False) -> bytes:
    """One page: `records` begin at `first_ns`."""
    assert len(records) <= PAGE_BYTES - HEADER
    commit = len(records) | (1 << 31 if missed else 0)
    return (struct.pack("<QQQ", commit, first_ns, 0) + records).ljust(PAGE_BYTES, b"\0")


def pages(events: Sequence[Event]) -> bytes:
    """Events in order of time as full pages."""
    found, records, first, now = [], b"", 0, 0
    for ts_ns, payload in events:
        if not records:
            first = now = ts_ns
        delta = ts_ns - now
        record = time_extend(delta) + data_record(payload, 0) if delta >> 27 else data_record(payload, delta)
        if len(records) + len(record) > PAGE_BYTES - HEADER:
            found.append(page(first, records))
            record, first = data_record(payload, 0), ts_ns
            records = b""
        records, now = records + record, ts_ns
    return b"".join([*found, page(first, records)])


def write_trace(folder: Path, cpus: Mapping[int, Sequence[Event]], **other: Any) -> Path:
    """raw/kernel with these events."""
    folder.mkdir(parents=True, exist_ok=True)
    for cpu, events in cpus.items():
        (folder / f"cpu{cpu}.bin").write_bytes(pages(sorted(events)))
    (folder / "meta.json").write_text(json.dumps(meta(**other)), encoding="utf-8")
    return folder
