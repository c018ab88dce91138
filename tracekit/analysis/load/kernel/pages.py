"""Decodes pages of the kernel's ring buffer, as `trace_pipe_raw` gives them, into arrays of events.

A page begins with the time of its first event and the number of bytes used. Each event begins with 32 bits: 5 for its
type or length and 27 for the time since the previous event; longer pauses are records of their own (kernel:
include/linux/ring_buffer.h, and `events/header_event` in tracefs). Where an event begins is known only from the
previous one, so all pages are walked side by side, vectorized: one step per event of the fullest page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracekit.bundle.kernel_files import EventField, PageFormat

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_LENGTH = (1 << 27) - 1

_STAMP_HIGH = np.uint64(0xF8 << 56)
"""The bits that a TIME_STAMP, of 59 bits, takes from the previous time."""
_LATEST = np.uint64(1 << 62)


class BadPages(ValueError):
    """The bytes are not pages of a ring buffer; the text says why."""


@dataclass(frozen=True, slots=True)
class PageEvents:
    """The events of one CPU in order of time. `ts_ns`, `start` and `size` are int64 arrays, one element per event."""

    data: Array
    """The bytes of all pages, uint8."""
    ts_ns: Array
    """On the trace's clock, CLOCK_MONOTONIC."""
    start: Array
    """Offset in `data` of the event's first byte, its id."""
    size: Array
    """Bytes of the event."""

    def with_id(self, number: int) -> Array:
        """Indexes of the events that have this id (`ID` of the event's format in tracefs)."""
        return np.flatnonzero(self.data.view("<u2")[self.start >> 1] == number)

    def column(self, chosen: Array, field: EventField) -> Array:
        """One field of the chosen events, as int64. Raises BadPages when it lies outside an event."""
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
        """One text field of the chosen events, by a Python loop: for rare kinds of events. Raises BadPages."""
        start, size = self._within(chosen, field), np.full(len(chosen), field.size)
        if field.located:
            if field.size != 4:
                raise BadPages(f"a text's location of {field.size} bytes")
            place = self.data.view("<u4")[start >> 2].astype(np.int64)
            start, size = self.start[chosen] + (place & 0xFFFF), place >> 16
            if (start + size > (self.start + self.size)[chosen]).any():
                raise BadPages("a text ends beyond its event")
        raw = [self.data[at : at + length].tobytes() for at, length in zip(start, size, strict=True)]
        return [text.partition(b"\0")[0].decode("utf-8", "replace") for text in raw]

    def _within(self, chosen: Array, field: EventField) -> Array:
        if (self.size[chosen] < field.offset + field.size).any():
            raise BadPages("an event is shorter than its format")
        found: Array = self.start[chosen] + field.offset
        return found


def decode_pages(raw: bytes | memoryview, page_bytes: int, layout: PageFormat) -> PageEvents:
    """Decode all events of one CPU's pages. Raises BadPages when they end too early or contradict themselves."""
    data = np.frombuffer(raw, dtype=np.uint8)
    if page_bytes % 8 or not layout.data < page_bytes or max(layout.timestamp + 8, layout.commit + 4) > layout.data:
        raise BadPages(f"pages of {page_bytes} bytes with events from {layout.data}")
    if len(data) % page_bytes:
        raise BadPages(f"{len(data):,} bytes are no whole number of pages of {page_bytes:,}")
    words = data.view("<u4")
    page = np.arange(len(data) // page_bytes, dtype=np.int64) * page_bytes
    clock = page + layout.timestamp
    time = words[clock >> 2].astype(np.uint64) | words[(clock >> 2) + 1].astype(np.uint64) << np.uint64(32)
    commit = words[(page + layout.commit) >> 2].astype(np.int64)
    begin = page + layout.data
    end = begin + (commit & _LENGTH)
    if (end > page + page_bytes).any() or (end & 3).any():
        raise BadPages("a page's length is larger than the page")
    ts_ns, start, size = _walk_pages(words, begin, end, time)
    return PageEvents(data=data, ts_ns=ts_ns, start=start, size=size)


def _walk_pages(words: Array, begin: Array, end: Array, time: Array) -> tuple[Array, Array, Array]:
    """The times, offsets and sizes of the data events of all pages, page after page.

    `words` are the bytes as uint32; `begin` and `end` are each page's first and last byte offset (int64), `time` its
    time stamp (uint64).
    """
    at, time = begin.copy(), time.copy()
    active = np.flatnonzero(at < end)
    found: list[tuple[Array, Array, Array, Array]] = []
    while active.size:
        here, stop = at[active], end[active]
        head = words[here >> 2]
        kind, delta = head & np.uint32(31), (head >> np.uint32(5)).astype(np.uint64)
        # A short event has no second word, and may be the file's last: the index is clamped, the value not used.
        second = words[np.minimum((here >> 2) + 1, len(words) - 1)].astype(np.int64)
        bare = (kind > 0) & (kind < _PADDING)
        rest = (kind == _PADDING) & (delta == 0)
        step = np.where(bare, 4 + 4 * kind.astype(np.int64), 8)
        step = np.where((kind == 0) | (kind == _PADDING), second + 4, step)
        step = np.where(rest, stop - here, step)
        if (step < np.where(bare | rest, 4, 8)).any() or (step & 3).any() or (here + step > stop).any():
            raise BadPages("an event ends beyond its page")
        long = (second.astype(np.uint64) << np.uint64(27)) + delta
        now = time[active] + np.where(kind == _TIME_EXTEND, long, np.where(rest, np.uint64(0), delta))
        now = np.where(kind == _TIME_STAMP, _extend_stamp(long, time[active]), now)
        if (now >= _LATEST).any():
            raise BadPages("a time stamp is centuries in the future")
        time[active] = now
        real = bare | (kind == 0)
        first = here + np.where(bare, 4, 8)
        found.append((active[real], now[real], first[real], (here + step - first)[real]))
        at[active] = here + step
        active = active[here + step < stop]
    return _order_events(found)


def _extend_stamp(stamp: Array, before: Array) -> Array:
    """Complete a TIME_STAMP with the high bits of the previous time."""
    whole = stamp | (before & _STAMP_HIGH)
    # The low bits overflowed since the previous time.
    later: Array = np.where(whole < before, whole + np.uint64(1 << 59), whole)
    return later


def _order_events(found: list[tuple[Array, Array, Array, Array]]) -> tuple[Array, Array, Array]:
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    page, ts_ns, start, size = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(page, kind="stable")
    if (size < 2).any():
        raise BadPages("an event has no id")
    return ts_ns.view(np.int64)[order], start[order], size[order]
