"""On a thread intervals nest; in a lane they do not overlap."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.analysis.timeline.lanes import assign_lanes, clip_nested, sort_by_nesting

intervals = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=40
)


def test_a_call_that_outlives_its_caller_by_a_nanosecond_is_cut() -> None:
    # caller 0..100, its call 10..101, that one's call 20..101, and a call after the caller
    assert clip_nested([0, 10, 20, 100], [100, 91, 81, 5]) == [100, 90, 80, 5]


def test_the_order_puts_callers_first() -> None:
    starts, durations, depths = (np.array(values) for values in ([5, 0, 0, 0], [1, 3, 9, 3], [0, 2, 0, 1]))
    assert sort_by_nesting(starts, durations, depths).tolist() == [2, 3, 1, 0]


@given(intervals)
def test_after_cutting_any_two_are_apart_or_one_holds_the_other(found: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in found], dtype=np.int64)
    durations = np.array([end - start for start, end in found], dtype=np.int64)
    order = sort_by_nesting(starts, durations, np.zeros(len(found), dtype=np.int64))
    first = starts[order].tolist()
    cut = clip_nested(first, durations[order].tolist())
    assert all(new <= old for new, old in zip(cut, durations[order].tolist(), strict=True))
    bounds = [(start, start + length) for start, length in zip(first, cut, strict=True)]
    for index, (start, end) in enumerate(bounds):
        for later_start, later_end in bounds[index + 1 :]:
            assert later_start >= end or later_end <= end, (start, end, later_start, later_end)


def test_overlapping_tasks_share_the_fewest_lanes() -> None:
    assert assign_lanes([(0, 9), (1, 3), (4, 5)]) == [0, 1, 1]
    assert assign_lanes([(0, 1), (1, 2), (2, 3)]) == [0, 0, 0]
    assert assign_lanes([]) == []


@given(intervals)
def test_no_lane_holds_two_at_a_time_and_none_is_used_needlessly(found: list[tuple[int, int]]) -> None:
    places = assign_lanes(found)
    for lane in set(places):
        mine = sorted(pair for pair, place in zip(found, places, strict=True) if place == lane)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(mine))
    busiest = max((sum(start <= at < end for start, end in found) for at in range(75)), default=0)
    if all(end > start for start, end in found):
        assert len(set(places)) == busiest
