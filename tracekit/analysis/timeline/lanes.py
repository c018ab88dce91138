"""What a trace asks of intervals: on a thread they must nest, and in a lane they must not overlap at all."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def nesting_order(starts: Ints, durations: Ints, depths: Ints) -> Ints:
    """The order that puts every caller before what it called: by start, then longest first, then depth."""
    order: Ints = np.lexsort((depths, -durations, starts))
    return order


def nested_durations(starts: Sequence[int], durations: Sequence[int]) -> list[int]:
    """The durations, each cut to end no later than its caller. Both in `nesting_order`; nanoseconds.

    A tracer reads its clock a few times per call, so a call can seem to end a nanosecond after its caller.
    Perfetto drops such a slice.
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


def lanes(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """The lane (0, 1, ...) of each (start, end): no lane holds two at a time, and none is used needlessly.

    Tasks of asyncio overlap on one thread; `[(0, 9), (1, 3), (4, 5)]` gives `[0, 1, 1]`.
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
