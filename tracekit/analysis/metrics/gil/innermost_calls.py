"""In which call a thread was at any moment, from VizTracer's nested calls of the same run.

A call is the innermost one outside its callees: what the calls one level deeper leave of it. Calls are on the clock of
the waits. They are in the tables only where the traces were loaded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import Intervals, Ints, Lanes, first_wins, gaps, ints, overlaps
from tracekit.analysis.tables import Tables

_NAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)", re.DOTALL)


class InCalls(NamedTuple):
    """Pieces of given intervals: `rows` says of which, `function` and `file` in which call, `lengths` in ns."""

    rows: Ints
    function: list[str]
    file: list[str | None]
    lengths: Ints


def in_calls(tables: Tables, lanes: Lanes, places: pd.DataFrame, starts: Ints, ends: Ints) -> InCalls:
    """Cut the intervals starts..ends of threads (rows of `places`, on these lanes) by their innermost calls. What lies
    in no call is left out.
    """
    slices = tables.slices
    slices = slices[slices["run_id"].isin(places["run_id"].unique()) & slices["depth"].notna()].reset_index(drop=True)
    wanted = lanes.lay(places, starts, ends)
    innermost = _innermost(lanes, slices)
    met = overlaps(wanted, innermost)
    calls = innermost.rows[met.right]
    codes, names = pd.factorize(slices["name"])
    told = [_parsed(str(name)) for name in names]
    found = [told[code] for code in codes[calls].tolist()]
    return InCalls(wanted.rows[met.left], [name for name, _ in found], [file for _, file in found], met.lengths)


def _innermost(lanes: Lanes, slices: pd.DataFrame) -> Intervals:
    """Disjoint intervals in which a call is the innermost one; rows are those of `slices`."""
    begins = ints(slices["start_ns"])
    line = lanes.lay(slices, begins, begins + ints(slices["dur_ns"]))
    depths = ints(slices["depth"])[line.rows]
    order = np.argsort(depths, kind="stable")
    edges = np.searchsorted(depths[order], np.arange(depths.max(initial=-1) + 2))
    levels = [
        first_wins(Intervals(*(column[order[low:high]] for column in line)))
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    if not levels:
        return line
    own = [gaps(level, deeper) for level, deeper in pairwise(levels)] + levels[-1:]
    together = Intervals(*(np.concatenate(columns) for columns in zip(*own, strict=True)))
    by_start = np.argsort(together.starts, kind="stable")
    return first_wins(Intervals(*(column[by_start] for column in together)))


def _parsed(name: str) -> tuple[str, str | None]:
    match = _NAME.fullmatch(name)
    return (name, None) if match is None else (match["function"], match["file"])
