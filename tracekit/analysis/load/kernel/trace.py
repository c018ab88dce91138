"""Reads the kernel trace of one run, raw/kernel: the events of all CPUs by kind, in order of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.analysis.load.kernel.pages import Array, BadPages, PageEvents, decode_pages
from tracekit.bundle.files import HINT, is_there, read_file, read_json
from tracekit.bundle.kernel_files import (
    FORMAT,
    META,
    PAGES,
    SWITCH,
    WAKEUP,
    WAKING,
    BadFormat,
    EventFormat,
    PageFormat,
    parse_event,
    parse_page,
)
from tracekit.core.errors import BundleCorrupt, BundleTooNew

_CPU_FILE = re.compile(re.escape(PAGES).replace(re.escape("{cpu}"), r"cpu(\d{1,5})"))
_MOST_PAGE_BYTES = 1 << 20
_FIELDS = {
    SWITCH: ("prev_pid", "prev_state", "next_pid"),
    WAKEUP: ("pid",),
    WAKING: ("common_pid", "pid"),
    "sched/sched_process_exec": ("pid", "old_pid"),
    "sched/sched_process_exit": ("pid",),
    "task/task_newtask": ("common_pid", "pid", "clone_flags"),
}
_TEXTS = {"sched/sched_process_exec": "filename", "sched/sched_process_exit": "comm"}
_UPROBE_FIELDS = ("common_pid",)
_GIL = "gil"
"""Field of a take: the GIL's address; 0 where the probe could not read it."""


@dataclass(frozen=True, slots=True)
class KernelEvents:
    """The events of one kind, sorted by time.

    `columns` are int64 arrays of one length: ts_ns (CLOCK_MONOTONIC), cpu, and the kind's fields. `texts` has one text
    per event for the kinds in _TEXTS and is empty for the others.
    """

    columns: dict[str, Array]
    texts: list[str]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["ts_ns"])


@dataclass(frozen=True, kw_only=True)
class KernelTrace:
    """All events of raw/kernel. `start_tid` is the thread of tracekit, process `pid`, that started the run."""

    pid: int
    start_tid: int
    kinds: dict[str, KernelEvents]
    """By event name (`sched/sched_switch`), and `take_gil entry`, `take_gil return`, `drop_gil entry`, `drop_gil
    return` for the uprobes."""
    has_gil_probes: bool
    lost: int
    """Events that the kernel counted but did not keep."""

    @property
    def switches(self) -> KernelEvents:
        """The context switches."""
        return self.kinds[SWITCH]

    @cached_property
    def wakeups(self) -> KernelEvents:
        """The wake-ups, each when the thread was in a run queue; where that is not recorded, when the wake-up began."""
        done, begun = self.kinds[WAKEUP].columns, self.kinds[WAKING].columns
        columns = {name: np.concatenate([done[name], begun[name]]) for name in done}
        is_begin = np.arange(len(columns["pid"])) >= len(done["pid"])
        order = np.lexsort((~is_begin, columns["ts_ns"], columns["pid"]))
        thread, is_begin = columns["pid"][order], is_begin[order]
        ended = np.zeros(len(order), dtype=bool)
        ended[:-1] = is_begin[:-1] & ~is_begin[1:] & (thread[1:] == thread[:-1])
        return _join_cpus([({name: values[order[~ended]] for name, values in columns.items()}, [])])

    @property
    def first_ns(self) -> int | None:
        """The time of the first event; None when there is none."""
        return min((int(kind["ts_ns"][0]) for kind in self.kinds.values() if len(kind)), default=None)

    @property
    def last_ns(self) -> int | None:
        """The time of the last event; None when there is none."""
        return max((int(kind["ts_ns"][-1]) for kind in self.kinds.values() if len(kind)), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KernelMeta:
    pid: int
    start_tid: int
    page_bytes: int
    page: PageFormat
    events: dict[str, EventFormat]
    uprobes: dict[str, str]
    """Event name -> its kind, such as `take_gil entry`."""
    lost: int


def read_trace(folder: Path) -> KernelTrace | None:
    """Read the capture's files in `folder`; None without any. Raises BundleCorrupt or BundleTooNew."""
    if not is_there(folder / META):
        return None
    meta = _read_meta(folder / META)
    parts: dict[str, list[tuple[dict[str, Array], list[str]]]] = {}

    for path in sorted(folder.iterdir()):
        match = _CPU_FILE.fullmatch(path.name)
        if match is None:
            continue
        try:
            events = decode_pages(read_file(path), meta.page_bytes, meta.page)

            for name, form in meta.events.items():
                kind = meta.uprobes.get(name, name)
                parts.setdefault(kind, []).append(_select_columns(events, name, form, int(match[1])))
        except (BadPages, BadFormat) as error:
            raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    kinds = {kind: _join_cpus(found) for kind, found in parts.items()}
    # Before format 2 it was not recorded.
    columns = ("ts_ns", "cpu", *_FIELDS[WAKING])
    kinds.setdefault(WAKING, KernelEvents({name: np.empty(0, dtype=np.int64) for name in columns}, []))
    return KernelTrace(
        pid=meta.pid,
        start_tid=meta.start_tid,
        kinds=kinds,
        has_gil_probes=bool(meta.uprobes),
        lost=meta.lost,
    )


def _select_columns(events: PageEvents, name: str, form: EventFormat, cpu: int) -> tuple[dict[str, Array], list[str]]:
    chosen = events.with_id(form.id)
    columns = {"ts_ns": events.ts_ns[chosen], "cpu": np.full(len(chosen), cpu, dtype=np.int64)}
    for field in _FIELDS.get(name, _UPROBE_FIELDS):
        columns[field] = events.column(chosen, form.field(field))
    if name not in _FIELDS:
        columns[_GIL] = events.column(chosen, form.field(_GIL)) if _GIL in form.fields else np.zeros_like(chosen)
    texts = events.texts(chosen, form.field(_TEXTS[name])) if name in _TEXTS else []
    return columns, texts


def _join_cpus(parts: list[tuple[dict[str, Array], list[str]]]) -> KernelEvents:
    columns = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    texts = [text for _, more in parts for text in more]
    order = np.argsort(columns["ts_ns"], kind="stable")
    return KernelEvents(
        columns={name: values[order] for name, values in columns.items()},
        texts=[texts[index] for index in order.tolist()] if texts else [],
    )


def _read_meta(path: Path) -> _KernelMeta:
    data = read_json(path)
    if data["format"] > FORMAT:
        raise BundleTooNew(
            f"{path} has format {data['format']}; this tracekit reads up to {FORMAT}", "pip install --upgrade tracekit"
        )
    try:
        return _check_meta(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleCorrupt(f"{path} is not what tracekit writes: {error!r}", HINT) from error


def _check_meta(data: dict[str, Any]) -> _KernelMeta:
    page_bytes = _check_count(data["page_bytes"])
    if not 0 < page_bytes <= _MOST_PAGE_BYTES:
        raise ValueError(f"pages of {page_bytes} bytes")
    events = {name: parse_event(text) for name, text in data["events"].items()}
    missing = set(_FIELDS) - set(events) - ({WAKING} if data["format"] < 2 else set())
    if missing:
        raise ValueError(f"no format of {', '.join(sorted(missing))}")
    uprobes = {name: f"{facts['function']} {facts['at']}" for name, facts in data["uprobes"].items()}
    if set(events) - set(_FIELDS) != set(uprobes):
        raise ValueError("its uprobes and its events do not match")
    return _KernelMeta(
        pid=_check_count(data["pid"]),
        start_tid=_check_count(data["start_tid"]),
        page_bytes=page_bytes,
        page=parse_page(data["header_page"]),
        events=events,
        uprobes=uprobes,
        lost=sum(_check_count(value) for cpu in data["cpus"].values() for value in cpu.values()),
    )


def _check_count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise ValueError(f"{value!r} is not a count")
    return value
