"""Arranges intervals as a trace needs them: nested on a thread, and without any overlap in a lane."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def sort_by_nesting(starts: Ints, durations: Ints, depths: Ints) -> Ints:
    """The indexes that put every caller before its callees: by start, then longest first, then depth."""
    order: Ints = np.lexsort((depths, -durations, starts))
    return order


def clip_nested(starts: Sequence[int], durations: Sequence[int]) -> list[int]:
    """Cut each duration so that a call ends no later than its caller. Starts and durations (ns) as sort_by_nesting
    orders them.

    A tracer reads its clock a few times per call, so a call can seem to end a nanosecond after its caller; Perfetto
    drops such a slice.
    """
    result: list[int] = []
    open_ends: list[int] = []
    for start, duration in zip(starts, durations, strict=True):
        end = start + duration
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        if open_ends and end > open_ends[-1]:
            end = open_ends[-1]
        open_ends.append(end)
        result.append(end - start)
    return result


def assign_lanes(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """Give each (start, end) a lane 0, 1, ... so that no two in one lane overlap, with as few lanes as possible.

    asyncio tasks overlap on one thread, for example. `[(0, 9), (1, 3), (4, 5)]` gives `[0, 1, 1]`.
    """
    result = [0] * len(intervals)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    for index in sorted(range(len(intervals)), key=lambda index: intervals[index]):
        start, end = intervals[index]
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        result[index] = lane
        heapq.heappush(busy, (end, lane))
    return result
