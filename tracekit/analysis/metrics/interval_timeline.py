"""The intervals of many threads as intervals on one line.

Every thread (or GIL, or whatever owns intervals) has a lane as long as it lives, and the lanes lie one after another
on a line of integer nanoseconds. An interval is cut to its lane, so nothing on the line reaches from one owner to the
next, and merging, intersecting and summing the intervals of a whole suite is arithmetic on sorted arrays: a million
of them take a fraction of a second. The line is as long as all lives together; 63 bits hold 292 years of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Intervals(NamedTuple):
    """Intervals on the line, sorted by start. `rows` are their places in the frame that they came from."""

    starts: Ints
    ends: Ints
    rows: Ints

    @property
    def lengths(self) -> Ints:
        return self.ends - self.starts

    def chosen(self, which: Bools) -> Intervals:
        """Only these."""
        return Intervals(self.starts[which], self.ends[which], self.rows[which])


class Lanes:
    """One lane per row of `owners`, from `opens` to `closes` (CLOCK_MONOTONIC ns); a lane that would end before it
    begins has no length. Owners are told apart by the columns `keys`; of owners with equal keys, such as threads that
    were given the same id one after the other, an interval belongs to the last that began before it did.
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

    def owners(self, frame: pd.DataFrame, starts: Ints) -> Ints:
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
        """The frame's intervals on the line, cut to their lanes; what has no lane or no length there is left out."""
        lanes = self.owners(frame, starts)
        rows = np.flatnonzero(lanes >= 0)
        lanes = lanes[rows]
        shift = self.edges[lanes] - self._opens[lanes]
        low, high = self.edges[lanes], self.edges[lanes + 1]
        begins = np.clip(starts[rows] + shift, low, high)
        stops = np.clip(ends[rows] + shift, low, high)
        kept = stops > begins
        begins, stops, rows = begins[kept], stops[kept], rows[kept]
        # Equal starts: the longer one first, so that it wins as the outer of two nested intervals does.
        order = np.lexsort((-stops, begins))
        return Intervals(begins[order], stops[order], rows[order])

    def lanes_at(self, starts: Ints) -> Ints:
        """The lane in which intervals that begin there lie."""
        lanes: Ints = np.searchsorted(self.edges, starts, side="right") - 1
        return lanes

    def sums(self, starts: Ints, lengths: Ints) -> Ints:
        """Per lane: the sum of the lengths of what begins in it."""
        totals = np.zeros(len(self), np.int64)
        np.add.at(totals, self.lanes_at(starts), lengths)
        return totals

    def times(self, points: Ints, lanes: Ints) -> Ints:
        """Points of these lanes as CLOCK_MONOTONIC ns again."""
        return points - self.edges[lanes] + self._opens[lanes]

    def _place(self, firsts: Ints, moments: Ints) -> Ints:
        """One number to order by: among which owners with equal keys, by the first of them, and then when."""
        places: Ints = firsts * (len(self._begins) + 1) + np.searchsorted(self._begins, moments, side="right")
        return places

    def _codes(self, frame: pd.DataFrame) -> Ints:
        """One number per combination of keys; -1 for one that no owner has. A missing key is a key like others."""
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
    """Where two sets of disjoint intervals meet: the index in each, and the common part."""

    left: Ints
    right: Ints
    starts: Ints
    ends: Ints

    @property
    def lengths(self) -> Ints:
        return self.ends - self.starts


def first_wins(intervals: Intervals) -> Intervals:
    """Disjoint intervals that cover the same: of two that overlap, the one that began first keeps the common part."""
    if not len(intervals.starts):
        return intervals
    reached = np.concatenate([intervals.starts[:1], np.maximum.accumulate(intervals.ends)[:-1]])
    starts = np.maximum(intervals.starts, reached)
    return Intervals(starts, intervals.ends, intervals.rows).chosen(intervals.ends > starts)


def covered(starts: Ints, ends: Ints, by: Intervals) -> Ints:
    """How much of each starts..ends lies within the disjoint intervals `by`."""
    return _covered_until(ends, by) - _covered_until(starts, by)


def overlaps(left: Intervals, right: Intervals) -> Overlaps:
    """The common parts of two sets, each disjoint in itself; in order."""
    first = np.searchsorted(right.ends, left.starts, side="right")
    beyond = np.searchsorted(right.starts, left.ends, side="left")
    counts = np.maximum(beyond - first, 0)
    which = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    others = first[which] + within
    starts = np.maximum(left.starts[which], right.starts[others])
    ends = np.minimum(left.ends[which], right.ends[others])
    return Overlaps(which, others, starts, ends)


def gaps(within: Intervals, taken: Intervals) -> Intervals:
    """What the disjoint intervals `taken` leave of the disjoint intervals `within`; `rows` are those of `within`."""
    met = overlaps(within, taken)
    lengths = len(within.starts)
    # Each interval is cut at the ends of what was taken of it; the pieces between the cuts are left.
    owners = np.concatenate([np.arange(lengths), met.left])
    starts = np.concatenate([within.starts, met.ends])
    order = np.lexsort((starts, owners))
    owners_of_ends = np.concatenate([met.left, np.arange(lengths)])
    ends = np.concatenate([met.starts, within.ends])
    ends = ends[np.lexsort((ends, owners_of_ends))]
    starts, owners = starts[order], owners[order]
    kept = ends > starts
    return Intervals(starts[kept], ends[kept], within.rows[owners[kept]])


def ints(series: pd.Series[int]) -> Ints:
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
