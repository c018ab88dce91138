"""Holds and handoffs of the GIL: when threads dropped it, and who took it then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Place
from tracekit.analysis.metrics.interval_timeline import Bools, IntervalTimeline, Ints, to_ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.recorded_intervals import GIL

SWITCH_INTERVAL_NS = 5_000_000
"""CPython's default; sys.setswitchinterval changes it."""
ASSUMED = "assumes CPython's default switch interval, 5 ms: that of the process was not recorded"

_ASKED_NS = 1_000
"""A thread that waits for the GIL asked for it up to this long before its wait was stamped. A hold that ended in
between counts as waited for: the asking thread has the mutex that another needs to drop the GIL."""

_FREEING_NS = 100_000
"""A drop is stamped where the function begins that frees the GIL. A thread that asks in between finds the GIL held and
waits, though its wait begins after the drop's stamp: 5 to 70 µs under uprobes."""

GIL_KEYS = ["run_id", "pid", "object"]

RunWindows = Mapping[str, tuple[int, int]]
"""Start and end of each run, CLOCK_MONOTONIC ns."""


class GilHolds(NamedTuple):
    """Holds of known beginning. `place`: run_id, pid and tid of each; `lengths`: int64, ns within the run window."""

    place: pd.DataFrame
    lengths: Ints


class GilHandoffs(NamedTuple):
    """`place`: run_id and pid of each handoff; `latency_ns`: int64, from drop to take."""

    place: pd.DataFrame
    latency_ns: Ints


def measure_holds(holds: pd.DataFrame, windows: RunWindows) -> GilHolds:
    """The holds whose beginning is known, cut to their run windows. `holds`: rows of the table, of one method."""
    holds = holds[holds["start_ns"].notna()]
    codes, names = pd.factorize(holds["run_id"])
    opens, closes = np.array([*(windows.get(name, (0, 0)) for name in names), (0, 0)], dtype=np.int64).T
    starts = np.clip(to_ints(holds["start_ns"]), opens[codes], closes[codes])
    lengths = np.clip(to_ints(holds["end_ns"]), opens[codes], closes[codes]) - starts
    place = holds[KEYS].astype({"run_id": "str"})
    kept = lengths > 0
    return GilHolds(place[kept].reset_index(drop=True), lengths[kept])


def select_waited_for(waits: pd.DataFrame, holds: pd.DataFrame, gils: IntervalTimeline) -> pd.DataFrame:
    """The holds of known beginning that ended inside a recorded wait for the same GIL.

    `waits` and `holds` are rows of the tables, of the wait probe. It also records holds at whose end a thread was only
    asking for the GIL, and had it within 3 µs: that was no wait.
    """
    holds = holds[holds["start_ns"].notna()]
    held = gils.lay(holds, to_ints(holds["start_ns"]), to_ints(holds["end_ns"]))
    starts = to_ints(waits["start_ns"])
    waiting = gils.lay(waits, starts - _ASKED_NS, starts + to_ints(waits["dur_ns"]))
    last = held.ends - 1
    begun = np.searchsorted(waiting.starts, last, side="right")
    ended = np.searchsorted(np.sort(waiting.ends), last, side="right")
    return holds.iloc[np.sort(held.rows[begun > ended])]


def lay_gils(waits: pd.DataFrame, holds: pd.DataFrame, windows: RunWindows) -> IntervalTimeline:
    """A timeline with one lane, as long as the run window, for each GIL that a thread waited for or held."""
    gils = pd.concat([waits.loc[waits["kind"] == GIL, GIL_KEYS], holds[GIL_KEYS]], ignore_index=True)
    gils = gils.astype({"run_id": "str", "object": "str"}).drop_duplicates()
    gils = gils[gils["run_id"].isin(list(windows))].reset_index(drop=True)
    edges = np.array([windows[run_id] for run_id in gils["run_id"]], dtype=np.int64).reshape(-1, 2)
    return IntervalTimeline(gils, GIL_KEYS, edges[:, 0], edges[:, 1])


def find_places(threads: pd.DataFrame) -> set[Place]:
    """These threads, rows with KEYS, and their processes and runs."""
    return {row[:length] for row in zip(*(threads[key].tolist() for key in KEYS), strict=True) for length in (1, 2, 3)}


def find_handoffs(waits: pd.DataFrame, holds: pd.DataFrame, gils: IntervalTimeline) -> GilHandoffs:
    """The handoffs of which the drop was recorded, in the order of the drops.

    A wait for the GIL ends in a handoff when another thread dropped the GIL during the wait or was about to when it
    began; the last such drop is the one that counts. `waits` and `holds` are rows of the tables, of one method.
    """
    holds = holds[holds["end_ns"].notna()].reset_index(drop=True)
    ends = to_ints(holds["end_ns"])
    # A stamp as an interval of 1 ns: the drop is where it begins.
    drops = gils.lay(holds, ends, ends + 1)
    waiting = gils.lay_rows(waits)
    last = _last_drops_by_others(
        drops.starts, to_ints(holds["tid"])[drops.rows], waiting.ends, to_ints(waits["tid"])[waiting.rows]
    )
    # A wait that goes on at the end of the run's window has ended in nothing yet.
    during = (last >= 0) & ~np.isin(waiting.ends, gils.edges)
    during[during] = drops.starts[last[during]] >= waiting.starts[during] - _FREEING_NS
    last, ended, rows = last[during], waiting.ends[during], waiting.rows[during]
    # One drop frees the GIL for one waiter: the first to take it. Others that woke had the drop of another thread.
    order = np.lexsort((ended, last))
    _, first = np.unique(last[order], return_index=True)
    chosen = order[first]
    place = waits[["run_id", "pid"]].iloc[rows[chosen]].reset_index(drop=True)
    return GilHandoffs(place, ended[chosen] - drops.starts[last[chosen]])


def _last_drops_by_others(drops: Ints, droppers: Ints, ends: Ints, waiters: Ints) -> Ints:
    """Per wait: which drop is the last one by another thread up to its end, -1 for none.

    A waiter's own drop can lie inside its wait only where its stamp came late: threads that wait drop nothing.
    """
    last: Ints = np.searchsorted(drops, ends, side="right") - 1
    if not len(drops):
        return last
    # Of several drops in a row by one thread, the index before the first of them.
    changes = np.concatenate([np.ones(1, np.bool_), droppers[1:] != droppers[:-1]])
    before = np.maximum.accumulate(np.where(changes, np.arange(len(drops)), 0)) - 1
    own = (last >= 0) & (droppers[last] == waiters)
    return np.where(own, before[last], last)


def read_switch_intervals(
    usable_runs: Iterable[Mapping[str, Any]], environments: Iterable[Mapping[str, Any]], processes: pd.DataFrame
) -> dict[Place, int]:
    """The switch interval, ns, of processes as the wait probe saw it, and of runs from the environments of their suite;
    each where it is known."""
    found: dict[str, int] = {}
    for environment in environments:
        facts = environment.get("python")
        value = facts.get("switch_interval_s") if isinstance(facts, dict) else None
        if isinstance(value, int | float) and 0 < value < 1e6:
            found.setdefault(str(environment.get("python_label", "")), round(value * 1e9))
    runs: dict[Place, int] = {
        (run["run_id"],): found[str(run["python"])] for run in usable_runs if str(run["python"]) in found
    }
    seen = processes.dropna(subset=["switch_interval_ns"])
    places = zip(seen["run_id"].tolist(), seen["pid"].tolist(), strict=True)
    return runs | dict(zip(places, seen["switch_interval_ns"].tolist(), strict=True))


def look_up_intervals(frame: pd.DataFrame, known: Mapping[Place, int]) -> tuple[Ints, Bools]:
    """Per row of a frame with run_id and pid: the switch interval, ns, and whether that is CPython's default because it
    is not known."""
    places = zip(frame["run_id"].tolist(), frame["pid"].tolist(), strict=True)
    found = [known.get(place, known.get(place[:1], 0)) for place in places]
    limits: Ints = np.array(found, dtype=np.int64)
    return np.where(limits == 0, SWITCH_INTERVAL_NS, limits), limits == 0
