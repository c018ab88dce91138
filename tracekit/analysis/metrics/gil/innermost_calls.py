"""In which call a thread was at any moment, from VizTracer's nested calls of the same run.

A call is the innermost one outside its callees: what the calls one level deeper leave of it. Calls have the same clock
as waits. They are in the tables only where the traces were loaded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import (
    Intervals,
    IntervalTimeline,
    Ints,
    intersect,
    make_disjoint,
    subtract,
    to_ints,
)

_NAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)", re.DOTALL)


class CallParts(NamedTuple):
    """Parts of given intervals: `rows` says of which, `function` and `file` in which call, `lengths` in ns (int64)."""

    rows: Ints
    function: list[str]
    file: list[str | None]
    lengths: Ints


def cut_by_calls(
    slices: pd.DataFrame, timeline: IntervalTimeline, places: pd.DataFrame, starts: Ints, ends: Ints
) -> CallParts:
    """Cut the intervals starts..ends of threads (rows of `places`: run_id, pid, tid) by their innermost calls.

    What lies in no call is left out. `slices` are rows of the table, `timeline` that of the threads.
    """
    slices = slices[slices["depth"].notna()].reset_index(drop=True)
    wanted = timeline.lay(places, starts, ends)
    innermost = _innermost(timeline, slices)
    met = intersect(wanted, innermost)
    calls = innermost.rows[met.right]
    codes, names = pd.factorize(slices["name"])
    parsed = [_parse(str(name)) for name in names]
    found = [parsed[code] for code in codes[calls].tolist()]
    return CallParts(wanted.rows[met.left], [name for name, _ in found], [file for _, file in found], met.lengths)


def _innermost(timeline: IntervalTimeline, slices: pd.DataFrame) -> Intervals:
    """Disjoint intervals in which a call is the innermost one; rows are those of `slices`."""
    line = timeline.lay_rows(slices)
    depths = to_ints(slices["depth"])[line.rows]
    order = np.argsort(depths, kind="stable")
    edges = np.searchsorted(depths[order], np.arange(depths.max(initial=-1) + 2))
    levels = [
        make_disjoint(Intervals(*(column[order[low:high]] for column in line)))
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    if not levels:
        return line
    own = [subtract(level, deeper) for level, deeper in pairwise(levels)] + levels[-1:]
    together = Intervals(*(np.concatenate(columns) for columns in zip(*own, strict=True)))
    by_start = np.argsort(together.starts, kind="stable")
    return make_disjoint(Intervals(*(column[by_start] for column in together)))


def _parse(name: str) -> tuple[str, str | None]:
    match = _NAME.fullmatch(name)
    return (name, None) if match is None else (match["function"], match["file"])
