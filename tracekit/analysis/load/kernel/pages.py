"""Pages of the kernel's ring buffer, as `trace_pipe_raw` gives them, to arrays of events.

A page begins with the time of its first event and the number of bytes used. Each event begins with 32 bits, 5 for its
type or length and 27 for the time since the one before; longer pauses are records of their own (kernel:
include/linux/ring_buffer.h, and `events/header_event` in tracefs). Where an event begins is known only from the one
before, so all pages are walked side by side: as many steps as the fullest page has events, each over all pages at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracekit.bundle.kernel_files import EventField, PageFormat

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_LENGTH = (1 << 27) - 1
_MISSED = 1 << 31
_STAMP_HIGH = np.uint64(0xF8 << 56)
"""A TIME_STAMP holds 59 bits; the others are those of the time before."""
_LATEST = np.uint64(1 << 62)


class BadPages(ValueError):
    """The bytes are not such pages; the text says why."""


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one CPU in the order they happened, by position in `data`, the bytes of all its pages."""

    data: Array
    ts_ns: Array
    start: Array
    size: Array
    missed: Array
    """Time stamps of pages before which the kernel had overwritten events."""

    def of(self, number: int) -> Array:
        """Which events begin with that id."""
        return np.flatnonzero(self.data.view("<u2")[self.start >> 1] == number)

    def column(self, chosen: Array, field: EventField) -> Array:
        """That field of the chosen events, as int64. Raises BadPages when it lies outside an event."""
        start = self._within(chosen, field)
        if field.size not in (1, 2, 4, 8) or field.offset % min(field.size, 4):
            raise BadPages(f"a field of {field.size} bytes at {field.offset}")
        if field.size == 8:
            words = self.data.view("<u4")
            low, high = words[start >> 2].astype(np.uint64), words[(start >> 2) + 1].astype(np.uint64)
            whole: Array = (high << np.uint64(32) | low).view(np.int64)
            return whole
        kind = f"<{'i' if field.signed else 'u'}{field.size}"
        values: Array = self.data.view(kind)[start // field.size].astype(np.int64)
        return values

    def texts(self, chosen: Array, field: EventField) -> list[str]:
        """That text of the chosen events, which should be few. Raises BadPages."""
        start, size = self._within(chosen, field), np.full(len(chosen), field.size)
        if field.located:
            if field.size != 4:
                raise BadPages(f"a text's place of {field.size} bytes")
            place = self.data.view("<u4")[start >> 2].astype(np.int64)
            start, size = self.start[chosen] + (place & 0xFFFF), place >> 16
            if (start + size > (self.start + self.size)[chosen]).any():
                raise BadPages("a text reaches out of its event")
        raw = [self.data[at : at + length].tobytes() for at, length in zip(start, size, strict=True)]
        return [text.partition(b"\0")[0].decode("utf-8", "replace") for text in raw]

    def _within(self, chosen: Array, field: EventField) -> Array:
        if (self.size[chosen] < field.offset + field.size).any():
            raise BadPages("an event is shorter than its description")
        found: Array = self.start[chosen] + field.offset
        return found


def decode(raw: bytes | memoryview, page_bytes: int, layout: PageFormat) -> Events:
    """All events of one CPU's pages. Raises BadPages when they end too early or contradict themselves."""
    data = np.frombuffer(raw, dtype=np.uint8)
    if page_bytes % 8 or not layout.data < page_bytes or max(layout.timestamp + 8, layout.commit + 4) > layout.data:
        raise BadPages(f"pages of {page_bytes} bytes with events from {layout.data}")
    if len(data) % page_bytes:
        raise BadPages(f"{len(data):,} bytes are no whole pages of {page_bytes:,}")
    words = data.view("<u4")
    page = np.arange(len(data) // page_bytes, dtype=np.int64) * page_bytes
    clock = page + layout.timestamp
    time = words[clock >> 2].astype(np.uint64) | words[(clock >> 2) + 1].astype(np.uint64) << np.uint64(32)
    commit = words[(page + layout.commit) >> 2].astype(np.int64)
    begin = page + layout.data
    end = begin + (commit & _LENGTH)
    if (end > page + page_bytes).any() or (end & 3).any():
        raise BadPages("a page says that it uses more than it has")
    missed = time[commit & _MISSED != 0]
    ts_ns, start, size = _walk(words, begin, end, time)
    return Events(data=data, ts_ns=ts_ns, start=start, size=size, missed=missed.view(np.int64))


def _walk(words: Array, begin: Array, end: Array, time: Array) -> tuple[Array, Array, Array]:
    """Times, first bytes and sizes of the data events between `begin` and `end` of each page, page after page."""
    at, time = begin.copy(), time.copy()
    active = np.flatnonzero(at < end)
    found: list[tuple[Array, Array, Array, Array]] = []
    while active.size:
        here, stop = at[active], end[active]
        head = words[here >> 2]
        kind, delta = head & np.uint32(31), (head >> np.uint32(5)).astype(np.uint64)
        # Events without a second word never use it; the last of a page may end the file.
        second = words[np.minimum((here >> 2) + 1, len(words) - 1)].astype(np.int64)
        bare = (kind > 0) & (kind < _PADDING)
        rest = (kind == _PADDING) & (delta == 0)
        step = np.where(bare, 4 + 4 * kind.astype(np.int64), 8)
        step = np.where((kind == 0) | (kind == _PADDING), second + 4, step)
        step = np.where(rest, stop - here, step)
        if (step < np.where(bare | rest, 4, 8)).any() or (step & 3).any() or (here + step > stop).any():
            raise BadPages("an event reaches out of its page")
        long = (second.astype(np.uint64) << np.uint64(27)) + delta
        now = time[active] + np.where(kind == _TIME_EXTEND, long, np.where(rest, np.uint64(0), delta))
        now = np.where(kind == _TIME_STAMP, _absolute(long, time[active]), now)
        if (now >= _LATEST).any():
            raise BadPages("a time lies centuries away")
        time[active] = now
        real = bare | (kind == 0)
        first = here + np.where(bare, 4, 8)
        found.append((active[real], now[real], first[real], (here + step - first)[real]))
        at[active] = here + step
        active = active[here + step < stop]
    return _in_order(found)


def _absolute(stamp: Array, before: Array) -> Array:
    """The whole time of a TIME_STAMP, its high bits from the time before."""
    whole = stamp | (before & _STAMP_HIGH)
    # The low bits ran over since then.
    later: Array = np.where(whole < before, whole + np.uint64(1 << 59), whole)
    return later


def _in_order(found: list[tuple[Array, Array, Array, Array]]) -> tuple[Array, Array, Array]:
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    page, ts_ns, start, size = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(page, kind="stable")
    if (size < 2).any():
        raise BadPages("an event has no id")
    return ts_ns.view(np.int64)[order], start[order], size[order]
