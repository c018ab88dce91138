"""Interval arithmetic against a clock that ticks: every ns is asked by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.analysis.metrics.interval_timeline import (
    Intervals,
    IntervalTimeline,
    intersect,
    make_disjoint,
    measure_overlap,
    subtract,
)

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=12)


def line(pairs: list[tuple[int, int]]) -> Intervals:
    """Intervals (start, length) as `IntervalTimeline.lay` gives them."""
    kept = sorted(((start, start + length, row) for row, (start, length) in enumerate(pairs) if length))
    kept.sort(key=lambda item: (item[0], -item[1]))
    columns = [np.array([item[index] for item in kept], dtype=np.int64) for index in range(3)]
    return Intervals(*columns)


def ticks(intervals: Intervals) -> list[int]:
    """The ns that they cover, as often as they do."""
    pairs = zip(intervals.starts.tolist(), intervals.ends.tolist(), strict=True)
    return sorted(tick for start, end in pairs for tick in range(start, end))


@settings(max_examples=200, deadline=None)
@given(pairs=PAIRS)
def test_first_wins_covers_the_same_once_and_the_first_keeps_what_it_began(pairs: list[tuple[int, int]]) -> None:
    before = line(pairs)
    after = make_disjoint(before)
    assert ticks(after) == sorted(set(ticks(before)))
    for start, end, row in zip(*(column.tolist() for column in after), strict=True):
        for tick in range(start, end):
            began = [begin for begin, stop in zip(before.starts, before.ends, strict=True) if begin <= tick < stop]
            assert pairs[row][0] == min(began)


@settings(max_examples=200, deadline=None)
@given(left=PAIRS, right=PAIRS)
def test_overlaps_and_gaps_share_every_tick(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    ours, theirs = make_disjoint(line(left)), make_disjoint(line(right))
    met = intersect(ours, theirs)
    rest = subtract(ours, theirs)
    both = sorted(set(ticks(ours)) & set(ticks(theirs)))
    assert ticks(Intervals(met.starts, met.ends, met.left)) == both
    assert ticks(rest) == sorted(set(ticks(ours)) - set(ticks(theirs)))
    assert measure_overlap(ours.starts, ours.ends, theirs).sum() == len(both)
    # What is left over says whose it is.
    for start, row in zip(rest.starts.tolist(), rest.rows.tolist(), strict=True):
        assert left[row][0] <= start < left[row][0] + left[row][1]


@settings(max_examples=100, deadline=None)
@given(left=PAIRS, right=PAIRS)
def test_overlaps_need_only_one_disjoint_side(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    waits, holds = line(left), make_disjoint(line(right))
    met = intersect(waits, holds)
    held = set(ticks(holds))
    for index in range(len(waits.starts)):
        mine = met.left == index
        inside = [tick for tick in range(waits.starts[index], waits.ends[index]) if tick in held]
        assert int(met.lengths[mine].sum()) == len(inside)


def test_lanes_cut_to_the_life_and_know_their_owner() -> None:
    owners = pd.DataFrame({"run": ["a", "a", "b"], "tid": [5, 6, 5]})
    lanes = IntervalTimeline(owners, ["run", "tid"], np.array([0, 0, 100]), np.array([50, 60, 150]))
    rows = pd.DataFrame({"run": pd.Categorical(["b", "a", "a", "z", "b"]), "tid": [5, 6, 5, 5, 6]})
    starts, ends = np.array([90, 10, 40, 0, 100]), np.array([170, 20, 70, 9, 110])
    laid = lanes.lay(rows, starts, ends)
    assert lanes.edges.tolist() == [0, 50, 110, 160]
    assert [column.tolist() for column in laid] == [[40, 60, 110], [50, 70, 160], [2, 1, 0]]
    assert lanes.find_lanes(laid.starts).tolist() == [0, 1, 2]
    assert lanes.to_clock(laid.starts, lanes.find_lanes(laid.starts)).tolist() == [40, 10, 100]
    assert lanes.sum_by_lane(laid.starts, laid.lengths).tolist() == [10, 10, 50]


def test_an_id_that_was_given_twice_is_two_lanes() -> None:
    owners = pd.DataFrame({"tid": [7, 7]})
    lanes = IntervalTimeline(owners, ["tid"], np.array([200, 0]), np.array([300, 100]))
    rows = pd.DataFrame({"tid": [7, 7, 7]})
    assert lanes.match_lanes(rows, np.array([10, 250, 150])).tolist() == [1, 0, 1]


def test_stamps_beyond_the_53_bits_of_a_float_stay_exact() -> None:
    boot = 2**60
    lanes = IntervalTimeline(pd.DataFrame({"tid": [1]}), ["tid"], np.array([boot]), np.array([boot + 10]))
    laid = lanes.lay(pd.DataFrame({"tid": [1]}), np.array([boot + 3]), np.array([boot + 4]))
    assert (laid.starts.tolist(), laid.ends.tolist()) == ([3], [4])


@settings(max_examples=100, deadline=None)
@given(
    owners=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=8),
    asked=st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 12)), min_size=1, max_size=8),
)
def test_of_owners_with_equal_keys_the_last_that_began_before_has_it(
    owners: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    tids, opens = (np.array(column) for column in zip(*owners, strict=True))
    lanes = IntervalTimeline(pd.DataFrame({"tid": tids}), ["tid"], opens, opens + 5)
    wanted, starts = (np.array(column) for column in zip(*asked, strict=True))
    found = lanes.match_lanes(pd.DataFrame({"tid": wanted}), starts).tolist()
    for lane, tid, start in zip(found, wanted.tolist(), starts.tolist(), strict=True):
        begins = opens[tids == tid].tolist()
        if begins:
            assert tids[lane] == tid
            assert opens[lane] == max([begin for begin in begins if begin <= start], default=min(begins))
        else:
            assert lane == -1
