"""The intervals of many threads on one timeline, as sorted arrays.

Every owner of intervals (a thread, a GIL) has a lane as long as its lifetime, and the lanes follow one another on one
axis of integer nanoseconds. An interval is cut to its lane, so no interval reaches from one owner to the next, and
merging, intersecting and summing the intervals of a whole suite is arithmetic on sorted arrays: a million of them take
a fraction of a second. The timeline is as long as all lifetimes together; 63 bits hold 292 years.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Intervals(NamedTuple):
    """Intervals on a timeline, sorted by start: three int64 arrays of equal length.

    starts, ends   ns on the timeline, start < end
    rows           which row of the frame each interval comes from
    """

    starts: Ints
    ends: Ints
    rows: Ints

    @property
    def lengths(self) -> Ints:
        return self.ends - self.starts

    def select(self, which: Bools) -> Intervals:
        """The intervals where `which`, one bool an interval, is true."""
        return Intervals(self.starts[which], self.ends[which], self.rows[which])


class IntervalTimeline:
    """One lane per row of `owners`, from `opens` to `closes` (int64, CLOCK_MONOTONIC ns).

    Owners are distinguished by the columns `keys`. Of owners with equal keys, such as threads that were given the same
    id one after the other, an interval belongs to the last one that began before it did. A lane that would end before
    it begins has no length. `edges` (int64, one more than lanes) are the ends of the lanes on the timeline.
    """

    def __init__(self, owners: pd.DataFrame, keys: list[str], opens: Ints, closes: Ints) -> None:
        self._keys = keys
        self._names = [pd.Index(owners[key].dropna().unique()) for key in keys]
        self._opens = opens
        codes = self._codes(owners)
        self._order = np.lexsort((opens, codes))
        self._sorted_codes = codes[self._order]
        self._begins = np.unique(opens)
        firsts = np.searchsorted(self._sorted_codes, self._sorted_codes, side="left")
        self._places = self._place(firsts, opens[self._order])
        lengths = np.maximum(closes - opens, 0)
        self.edges: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])

    def __len__(self) -> int:
        return len(self._opens)

    @property
    def lengths(self) -> Ints:
        """Of each lane."""
        return np.diff(self.edges)

    def match_lanes(self, frame: pd.DataFrame, starts: Ints) -> Ints:
        """The lane of each row of the frame, -1 for an owner that has none."""
        codes = self._codes(frame)
        first = np.searchsorted(self._sorted_codes, codes, side="left")
        beyond = np.searchsorted(self._sorted_codes, codes, side="right")
        there = beyond > first
        # All owners with equal keys at once: a program may have given the same id to thousands of threads.
        last = np.searchsorted(self._places, self._place(first[there], starts[there]), side="right") - 1
        lanes: Ints = np.full(len(codes), -1, np.int64)
        lanes[there] = self._order[np.maximum(last, first[there])]
        return lanes

    def lay(self, frame: pd.DataFrame, starts: Ints, ends: Ints) -> Intervals:
        """The frame's intervals on the timeline, cut to their lanes; those without a lane or a length are left out.

        `starts` and `ends` (CLOCK_MONOTONIC ns) have one number per row of the frame.
        """
        lanes = self.match_lanes(frame, starts)
        rows = np.flatnonzero(lanes >= 0)
        lanes = lanes[rows]
        shift = self.edges[lanes] - self._opens[lanes]
        low, high = self.edges[lanes], self.edges[lanes + 1]
        begins = np.clip(starts[rows] + shift, low, high)
        stops = np.clip(ends[rows] + shift, low, high)
        kept = stops > begins
        begins, stops, rows = begins[kept], stops[kept], rows[kept]
        # Equal starts: the one that began first, were it not cut, then the longer one, as the outer of two nested ones.
        order = np.lexsort((-stops, starts[rows], begins))
        return Intervals(begins[order], stops[order], rows[order])

    def lay_rows(self, frame: pd.DataFrame) -> Intervals:
        """The same for a frame with the columns start_ns and dur_ns, none of them missing."""
        starts = to_ints(frame["start_ns"])
        return self.lay(frame, starts, starts + to_ints(frame["dur_ns"]))

    def find_lanes(self, starts: Ints) -> Ints:
        """The lane of each interval, from where it begins on the timeline."""
        lanes: Ints = np.searchsorted(self.edges, starts, side="right") - 1
        return lanes

    def sum_by_lane(self, starts: Ints, lengths: Ints) -> Ints:
        """One number per lane: the sum of the lengths of the intervals that begin in it."""
        totals = np.zeros(len(self), np.int64)
        np.add.at(totals, self.find_lanes(starts), lengths)
        return totals

    def count_by_lane(self, starts: Ints) -> Ints:
        """One number per lane: how many intervals begin in it."""
        return self.sum_by_lane(starts, np.ones(len(starts), np.int64))

    def to_clock(self, points: Ints, lanes: Ints) -> Ints:
        """Points on the timeline, in these lanes, as CLOCK_MONOTONIC ns."""
        return points - self.edges[lanes] + self._opens[lanes]

    def _place(self, firsts: Ints, moments: Ints) -> Ints:
        """One number to sort by: first the group of owners with equal keys, then the moment."""
        places: Ints = firsts * (len(self._begins) + 1) + np.searchsorted(self._begins, moments, side="right")
        return places

    def _codes(self, frame: pd.DataFrame) -> Ints:
        """One number per combination of keys, -1 for one that no owner has. A missing key counts as a key."""
        codes: Ints = np.zeros(len(frame), np.int64)
        unknown = np.zeros(len(frame), np.bool_)
        for key, names in zip(self._keys, self._names, strict=True):
            # Through the few distinct values: looking up a million texts takes a second.
            local, values = pd.factorize(frame[key])
            known = names.get_indexer(pd.Index(values))
            part = np.append(known, len(names))[local]
            unknown |= part < 0
            codes = codes * (len(names) + 1) + part
        codes[unknown] = -1
        return codes


class Overlaps(NamedTuple):
    """The common parts of two sets of disjoint intervals, four int64 arrays: the index in each set, start and end."""

    left: Ints
    right: Ints
    starts: Ints
    ends: Ints

    @property
    def lengths(self) -> Ints:
        return self.ends - self.starts


def make_disjoint(intervals: Intervals) -> Intervals:
    """Intervals that cover the same time without overlaps: the one that began first keeps the common part."""
    if not len(intervals.starts):
        return intervals
    reached = np.concatenate([intervals.starts[:1], np.maximum.accumulate(intervals.ends)[:-1]])
    starts = np.maximum(intervals.starts, reached)
    return Intervals(starts, intervals.ends, intervals.rows).select(intervals.ends > starts)


def measure_overlap(starts: Ints, ends: Ints, by: Intervals) -> Ints:
    """How many ns of each starts..ends lie within the disjoint intervals `by`."""
    return _covered_until(ends, by) - _covered_until(starts, by)


def intersect(left: Intervals, right: Intervals) -> Overlaps:
    """Every common part of two sets of disjoint intervals, in the order of `left`, then of `right`."""
    first = np.searchsorted(right.ends, left.starts, side="right")
    beyond = np.searchsorted(right.starts, left.ends, side="left")
    counts = np.maximum(beyond - first, 0)
    which = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    others = first[which] + within
    starts = np.maximum(left.starts[which], right.starts[others])
    ends = np.minimum(left.ends[which], right.ends[others])
    return Overlaps(which, others, starts, ends)


def subtract(within: Intervals, taken: Intervals) -> Intervals:
    """What the disjoint intervals `taken` leave of the disjoint intervals `within`; `rows` are those of `within`."""
    met = intersect(within, taken)
    lengths = len(within.starts)
    # Each interval is cut at the ends of what was taken of it; the parts between the cuts are left.
    owners = np.concatenate([np.arange(lengths), met.left])
    starts = np.concatenate([within.starts, met.ends])
    order = np.lexsort((starts, owners))
    owners_of_ends = np.concatenate([met.left, np.arange(lengths)])
    ends = np.concatenate([met.starts, within.ends])
    ends = ends[np.lexsort((ends, owners_of_ends))]
    starts, owners = starts[order], owners[order]
    kept = ends > starts
    return Intervals(starts[kept], ends[kept], within.rows[owners[kept]])


def to_ints(series: pd.Series[int]) -> Ints:
    """A column without missing values as 64-bit integers."""
    found: Ints = np.asarray(series, dtype=np.int64)
    return found


def _covered_until(points: Ints, by: Intervals) -> Ints:
    if not len(by.starts):
        return np.zeros(len(points), np.int64)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(by.lengths)])
    at = np.searchsorted(by.starts, points, side="right")
    inside = np.maximum(np.minimum(points, by.ends[at - 1]) - by.starts[at - 1], 0)
    whole: Ints = np.where(at > 0, before[np.maximum(at - 1, 0)] + inside, 0)
    return whole
