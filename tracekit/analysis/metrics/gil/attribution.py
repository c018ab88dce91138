"""GIL contention attribution: while one thread waited for the GIL, who held it, and in which function?

Every nanosecond of a wait is attributed to exactly one holder, or to none:

    a hold that covers it       the hold's thread, in the function in which it dropped the GIL in the end. A hold of
                                unknown beginning begins where the one before it ended.
    before the first such hold  the thread that held the GIL when the wait began (waits.holder_tid)
    no holder                   the moments between a drop and the next take, and what no record covers

so the rows of a thread add up to its GIL wait exactly. Where VizTracer's calls of the run are loaded, the holder's
function is the innermost call that it was in at that moment, and only outside all calls that of its drop. Of two
captures the probe is taken, which knows functions; the kernel alone knows threads only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.gil.innermost_calls import CallParts, cut_by_calls
from tracekit.analysis.metrics.interval_timeline import Intervals, IntervalTimeline, Ints, intersect, to_ints
from tracekit.analysis.metrics.recorded_intervals import GIL, RecordedWaits

COLUMNS = [
    "pid",
    "waiter_tid",
    "waiter_function",
    "waiter_file",
    "holder_tid",
    "holder_function",
    "holder_file",
    "wait_ns",
    "share",
    "waits",
    "method",
]
_PAIR = COLUMNS[:7]
_TEXTS = ("waiter_function", "waiter_file", "holder_function", "holder_file")
_NOBODY = -1


class AttributedWaits(NamedTuple):
    """The GIL waits of one run in parts, each with one holder. The parts of a wait add up to it.

    waits    the rows of the table `waits`
    wait     which of them each part is of (int64)
    tid      its holder (int64), -1 for none
    calls    function and file of the holder, one row a part (text, missing where not known)
    length   ns (int64)
    method   the method that recorded the waits
    """

    waits: pd.DataFrame
    wait: Ints
    tid: Ints
    calls: pd.DataFrame
    length: Ints
    method: str


class _HeldParts(NamedTuple):
    """The same on the timeline of the GILs; `hold` is the row of the hold that ended a part, -1 for none."""

    wait: Ints
    tid: Ints
    hold: Ints
    starts: Ints
    ends: Ints


def tabulate(pieces: AttributedWaits) -> pd.DataFrame:
    """One row per waiter, its function, holder and the holder's function, the longest first.

    Columns COLUMNS: `wait_ns` is the part of the waits that belongs to this row, `share` that of the GIL wait of the
    whole run, `waits` how many waits had such a part. Functions and files as recorded, missing where not known;
    holder_tid is missing where no thread held the GIL or none is known. Empty for a run without recorded GIL waits.
    """
    waits = pieces.waits
    frame = pd.DataFrame(
        {
            "pid": to_ints(waits["pid"])[pieces.wait],
            "waiter_tid": to_ints(waits["tid"])[pieces.wait],
            "waiter_function": _texts(waits["function"], pieces.wait),
            "waiter_file": _texts(waits["file"], pieces.wait),
            "holder_tid": pd.Series(pieces.tid, dtype="Int64").mask(pieces.tid == _NOBODY),
            "holder_function": pieces.calls["function"],
            "holder_file": pieces.calls["file"],
            "wait_ns": pieces.length,
            "wait": pieces.wait,
        }
    )
    groups = frame.groupby(_PAIR, dropna=False, sort=False, observed=True)
    found = groups.agg(wait_ns=("wait_ns", "sum"), waits=("wait", "nunique")).reset_index()
    found = found.astype(dict.fromkeys(_TEXTS, "str"))
    total = int(found["wait_ns"].sum())
    found["share"] = found["wait_ns"] / total if total else 0.0
    found["method"] = pd.Series(pieces.method, index=found.index, dtype="str")
    # Equal times: by thread and function, so that the order of rows does not depend on that of the tables.
    order = ["wait_ns", *_PAIR]
    found = found.sort_values(order, ascending=[False, *[True] * len(_PAIR)], kind="stable", ignore_index=True)
    return found[COLUMNS]


def attribute_waits(
    recorded: RecordedWaits,
    gils: IntervalTimeline,
    holds: pd.DataFrame,
    slices: pd.DataFrame,
    run_id: str,
    method: str,
) -> AttributedWaits:
    """The GIL waits of a run, as one method recorded them, cut by who held the GIL.

    `holds` and `slices` are rows of the tables: the holds of this run and method, and the run's calls.
    """
    line = recorded.select(method, GIL)
    line = line.select((recorded.waits["run_id"] == run_id).to_numpy(bool)[line.rows])
    own = recorded.timeline.find_lanes(line.starts)
    waits = recorded.waits.iloc[line.rows].reset_index(drop=True)
    starts, ends = (recorded.timeline.to_clock(points, own) for points in (line.starts, line.ends))
    waiting = gils.lay(waits, starts, ends)
    waits = waits.iloc[waiting.rows].reset_index(drop=True)
    holds = holds[holds["end_ns"].notna()].reset_index(drop=True)
    parts = _parts(waits, waiting, holds, _lay_holds(gils, holds))
    calls = pd.DataFrame({name: _texts(holds[name], parts.hold) for name in ("function", "file")})
    pieces = AttributedWaits(waits, parts.wait, parts.tid, calls, parts.ends - parts.starts, method)
    if not len(slices):
        return pieces
    lanes = gils.find_lanes(parts.starts)
    starts, ends = (gils.to_clock(points, lanes) for points in (parts.starts, parts.ends))
    inside = cut_by_calls(slices, recorded.timeline, _holders(pieces, run_id), starts, ends)
    return _cut_by_calls(pieces, inside)


def _holders(pieces: AttributedWaits, run_id: str) -> pd.DataFrame:
    """Run, process and holder of each part."""
    pids = to_ints(pieces.waits["pid"])[pieces.wait]
    return pd.DataFrame(
        {"run_id": pd.Series(run_id, index=range(len(pids)), dtype="str"), "pid": pids, "tid": pieces.tid}
    )


def _cut_by_calls(pieces: AttributedWaits, inside: CallParts) -> AttributedWaits:
    """The parts, cut by the calls in which their holders were; the rest of a part keeps the function of the drop."""
    rest = pieces.length.copy()
    np.subtract.at(rest, inside.rows, inside.lengths)
    rows = np.concatenate([inside.rows, np.arange(len(rest))])
    length = np.concatenate([inside.lengths, rest])
    known = pd.DataFrame({"function": inside.function, "file": inside.file}, dtype="str")
    calls = pd.concat([known, pieces.calls.astype("str")], ignore_index=True)
    kept = length > 0
    return pieces._replace(
        wait=pieces.wait[rows][kept],
        tid=pieces.tid[rows][kept],
        calls=calls[kept].reset_index(drop=True),
        length=length[kept],
    )


def _lay_holds(gils: IntervalTimeline, holds: pd.DataFrame) -> Intervals:
    """The holds on the lanes of their GILs, disjoint; one of unknown beginning reaches back to the one before it."""
    starts = holds["start_ns"].fillna(0).to_numpy(np.int64)
    line = gils.lay(holds, starts, to_ints(holds["end_ns"]))
    # By end, each begins no earlier than the one before it ended: that also bounds the unknown ones. By their own ends:
    # all that end after the run's window end at its edge on the line.
    ends = to_ints(holds["end_ns"])[line.rows]
    order = np.lexsort((line.starts, ends, gils.find_lanes(line.starts)))
    line = Intervals(line.starts[order], line.ends[order], line.rows[order])
    before = np.concatenate([line.starts[:1], line.ends[:-1]])
    cut = Intervals(np.maximum(line.starts, before), line.ends, line.rows)
    return cut.select(cut.ends > cut.starts)


def _parts(waits: pd.DataFrame, waiting: Intervals, holds: pd.DataFrame, held: Intervals) -> _HeldParts:
    """Every wait (a row of `waits`, an interval of `waiting`) in parts by holder."""
    met = intersect(waiting, held)
    hold = held.rows[met.right]
    holder = to_ints(holds["tid"])[hold]
    # Stamps of two threads may cross by a moment: no thread waits for itself.
    own = holder == to_ints(waits["tid"])[met.left]
    inside = _HeldParts(met.left, np.where(own, _NOBODY, holder), np.where(own, -1, hold), met.starts, met.ends)
    rows = np.arange(len(waits))
    first = np.searchsorted(met.left, rows)
    has_first = np.append(met.left, -1)[np.minimum(first, len(met.left))] == rows
    until = np.where(has_first, np.append(met.starts, 0)[first], waiting.ends)
    named = waits["holder_tid"].fillna(_NOBODY).to_numpy(np.int64)
    named = np.where(named == to_ints(waits["tid"]), _NOBODY, named)
    until = np.where(named == _NOBODY, waiting.starts, until)
    same = has_first & (np.append(holder, _NOBODY)[first] == named)
    before = _HeldParts(rows, named, np.where(same, np.append(hold, -1)[first], -1), waiting.starts, until)
    known = until - waiting.starts
    np.add.at(known, met.left, met.lengths)
    # Of the parts without a holder only the length matters, not where they lie.
    nobody = _HeldParts(rows, np.full(len(rows), _NOBODY), np.full(len(rows), -1), waiting.starts + known, waiting.ends)
    together = _HeldParts(*(np.concatenate(columns) for columns in zip(before, inside, nobody, strict=True)))
    kept = together.ends > together.starts
    return _HeldParts(*(column[kept] for column in together))


def _texts(column: pd.Series[str], rows: Ints) -> pd.Categorical:
    """The texts of these rows, missing for row -1, as categories: few texts stand in many rows."""
    codes, names = pd.factorize(column)
    return pd.Categorical.from_codes(np.append(codes, -1)[rows], categories=pd.Index(names).astype("str"))
