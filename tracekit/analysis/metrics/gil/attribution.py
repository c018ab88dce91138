"""While one thread waited for the GIL, who held it, and in which function?

Every nanosecond of a wait goes to exactly one holder, or to none:

    a hold that covers it       the hold's thread, in the function in which it dropped the GIL in the end. A hold of
                                unknown beginning begins where the one before it ended.
    before the first such hold  the thread that held the GIL when the wait began (waits.holder_tid)
    nobody                      the moments between a drop and the next take, and what no record covers: no holder

so the rows of a thread add up to its GIL wait exactly. Where VizTracer's calls of the run are loaded, the holder's
function is the innermost call that it was in at that moment, and only outside all calls that of its drop. Of two
watchers the probe is taken, which knows functions; the kernel alone knows threads only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.gil.handoffs import gil_lanes
from tracekit.analysis.metrics.gil.innermost_calls import InCalls, in_calls
from tracekit.analysis.metrics.interval_timeline import Intervals, Ints, Lanes, ints, overlaps
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import GIL, seen_waits, watchers
from tracekit.analysis.tables import Tables

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
_WHO = COLUMNS[:7]
_TEXTS = ("waiter_function", "waiter_file", "holder_function", "holder_file")
_NOBODY = -1


class Pieces(NamedTuple):
    """Parts of the GIL waits of one run, each with one holder.

    `waits`: the rows of the table; `wait`: which of them a part is of; `tid`: its holder, -1 for none; `calls`:
    function and file of the holder, one row a part; `length` in ns.
    """

    waits: pd.DataFrame
    wait: Ints
    tid: Ints
    calls: pd.DataFrame
    length: Ints
    method: str


class _Parts(NamedTuple):
    """The same on the line of the GILs; `hold` is the row of the hold that ended it, -1 for none."""

    wait: Ints
    tid: Ints
    hold: Ints
    starts: Ints
    ends: Ints


def blame(tables: Tables, run_id: str) -> pd.DataFrame:
    """One row per waiter, its function, holder and the holder's function, the longest first.

    Columns COLUMNS: `wait_ns` is the part of the waits that belongs to this row, `share` that of the GIL wait of the
    whole run, `waits` how many waits had such a part. Functions and files as recorded, missing where not known;
    holder_tid is missing where nobody held the GIL or nobody knows. Empty for a run in which nobody saw GIL waits.
    """
    pieces = pieces_of(tables, run_id)
    waits = pieces.waits
    frame = pd.DataFrame(
        {
            "pid": ints(waits["pid"])[pieces.wait],
            "waiter_tid": ints(waits["tid"])[pieces.wait],
            "waiter_function": _texts(waits["function"], pieces.wait),
            "waiter_file": _texts(waits["file"], pieces.wait),
            "holder_tid": pd.Series(pieces.tid, dtype="Int64").mask(pieces.tid == _NOBODY),
            "holder_function": pieces.calls["function"],
            "holder_file": pieces.calls["file"],
            "wait_ns": pieces.length,
            "wait": pieces.wait,
        }
    )
    groups = frame.groupby(_WHO, dropna=False, sort=False, observed=True)
    found = groups.agg(wait_ns=("wait_ns", "sum"), waits=("wait", "nunique")).reset_index()
    found = found.astype(dict.fromkeys(_TEXTS, "str"))
    total = int(found["wait_ns"].sum())
    found["share"] = found["wait_ns"] / total if total else 0.0
    found["method"] = pd.Series(pieces.method, index=found.index, dtype="str")
    # Equal times: by who it is, so that the order of rows does not depend on that of the tables.
    order = ["wait_ns", *_WHO]
    found = found.sort_values(order, ascending=[False, *[True] * len(_WHO)], kind="stable", ignore_index=True)
    return found[COLUMNS]


@once
def pieces_of(tables: Tables, run_id: str) -> Pieces:
    """The GIL waits of a run, cut by who held the GIL. Parts of one wait add up to it."""
    methods = watchers(tables).get(run_id, ())
    method = WAITS_PROBE if WAITS_PROBE in methods else next(iter(methods), "")
    found = seen_waits(tables)
    line = found.of(method, GIL)
    line = line.chosen((found.waits["run_id"] == run_id).to_numpy(bool)[line.rows])
    own = found.lanes.lanes_at(line.starts)
    waits = found.waits.iloc[line.rows].reset_index(drop=True)
    gils = gil_lanes(tables)
    asked = gils.lay(waits, found.lanes.times(line.starts, own), found.lanes.times(line.ends, own))
    waits = waits.iloc[asked.rows].reset_index(drop=True)
    holds = _holds(tables, run_id, method)
    parts = _parts(waits, asked, holds, _on_line(gils, holds))
    calls = pd.DataFrame({name: _texts(holds[name], parts.hold) for name in ("function", "file")})
    pieces = Pieces(waits, parts.wait, parts.tid, calls, parts.ends - parts.starts, method)
    if not (tables.slices["run_id"] == run_id).any():
        return pieces
    lanes = gils.lanes_at(parts.starts)
    times = gils.times(parts.starts, lanes), gils.times(parts.ends, lanes)
    return _refined(pieces, in_calls(tables, found.lanes, _holders(pieces, run_id), *times))


def _holders(pieces: Pieces, run_id: str) -> pd.DataFrame:
    """Run, process and holder of each part."""
    pids = ints(pieces.waits["pid"])[pieces.wait]
    return pd.DataFrame(
        {"run_id": pd.Series(run_id, index=range(len(pids)), dtype="str"), "pid": pids, "tid": pieces.tid}
    )


def _refined(pieces: Pieces, inside: InCalls) -> Pieces:
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


def _holds(tables: Tables, run_id: str, method: str) -> pd.DataFrame:
    holds = tables.holds
    chosen = (holds["run_id"] == run_id) & (holds["method"] == method) & holds["end_ns"].notna()
    return holds[chosen].reset_index(drop=True)


def _on_line(gils: Lanes, holds: pd.DataFrame) -> Intervals:
    """The holds on the lanes of their GILs, disjoint; one of unknown beginning reaches back to the one before it."""
    starts = holds["start_ns"].fillna(0).to_numpy(np.int64)
    line = gils.lay(holds, starts, ints(holds["end_ns"]))
    # By end, each begins no earlier than the one before it ended: that also bounds the unknown ones.
    order = np.lexsort((line.starts, line.ends))
    line = Intervals(line.starts[order], line.ends[order], line.rows[order])
    before = np.concatenate([line.starts[:1], line.ends[:-1]])
    cut = Intervals(np.maximum(line.starts, before), line.ends, line.rows)
    return cut.chosen(cut.ends > cut.starts)


def _parts(waits: pd.DataFrame, asked: Intervals, holds: pd.DataFrame, held: Intervals) -> _Parts:
    """Every wait (a row of `waits`, an interval of `asked`) in parts."""
    met = overlaps(asked, held)
    hold = held.rows[met.right]
    holder = ints(holds["tid"])[hold]
    # Stamps of two threads may cross by a moment: nobody waits for himself.
    own = holder == ints(waits["tid"])[met.left]
    inside = _Parts(met.left, np.where(own, _NOBODY, holder), np.where(own, -1, hold), met.starts, met.ends)
    rows = np.arange(len(waits))
    first = np.searchsorted(met.left, rows)
    has_first = np.append(met.left, -1)[np.minimum(first, len(met.left))] == rows
    until = np.where(has_first, np.append(met.starts, 0)[first], asked.ends)
    named = waits["holder_tid"].fillna(_NOBODY).to_numpy(np.int64)
    named = np.where(named == ints(waits["tid"]), _NOBODY, named)
    until = np.where(named == _NOBODY, asked.starts, until)
    same = has_first & (np.append(holder, _NOBODY)[first] == named)
    before = _Parts(rows, named, np.where(same, np.append(hold, -1)[first], -1), asked.starts, until)
    known = until - asked.starts
    np.add.at(known, met.left, met.lengths)
    # Where nobody held the GIL is of no interest, only how long.
    nobody = _Parts(rows, np.full(len(rows), _NOBODY), np.full(len(rows), -1), asked.starts + known, asked.ends)
    together = _Parts(*(np.concatenate(columns) for columns in zip(before, inside, nobody, strict=True)))
    kept = together.ends > together.starts
    return _Parts(*(column[kept] for column in together))


def _texts(column: pd.Series[str], rows: Ints) -> pd.Categorical:
    """A text of each of these rows, missing for row -1, as categories: few texts stand in many rows."""
    codes, names = pd.factorize(column)
    return pd.Categorical.from_codes(np.append(codes, -1)[rows], categories=pd.Index(names).astype("str"))
