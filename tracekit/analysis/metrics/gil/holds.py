"""How long the GIL was held while somebody wanted it: holds that ended with another thread waiting.

A hold is known from its take to its drop. Holds nobody waited for are not recorded: they cost nobody anything. Of some
the beginning is not known (the thread took the GIL before anybody watched, or without the watcher's notice): they are
counted, and are in no sum of durations.

    gil_hold_ns                 the sum of the known holds
    gil_hold_longest_ns         the longest of them
    gil_holds_over_interval     how many are longer than the interpreter's switch interval, after which a waiter asks
                                for the GIL: code that does not answer within it (a C call that keeps the GIL) is what
                                makes other threads wait long
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.interval_timeline import Ints, ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import watchers
from tracekit.analysis.metrics.rows import Numbers, Place, from_methods
from tracekit.analysis.metrics.thread_sums import joined
from tracekit.analysis.tables import Tables

SWITCH_INTERVAL_NS = 5_000_000
"""CPython's default; sys.setswitchinterval changes it."""

NOT_WATCHED = unavailable("needs capture waits or kernel, which see the GIL change hands")


class _KnownHolds(NamedTuple):
    """`place`: KEYS of each hold of usable runs with a known beginning; `lengths` within the run window."""

    place: pd.DataFrame
    lengths: Ints


def compute(metric: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    return from_methods(tables, metric, _UNITS[metric], _by_method(tables, metric), missing=NOT_WATCHED)


def switch_intervals(tables: Tables) -> dict[str, int]:
    """The switch interval of each Python label of the suite, ns."""
    found: dict[str, int] = {}
    for environment in tables.suite.get("environments", []):
        facts = environment.get("python")
        value = facts.get("switch_interval_s") if isinstance(facts, dict) else None
        if isinstance(value, int | float) and 0 < value < 1e6:
            found.setdefault(str(environment.get("python_label", "")), round(value * 1e9))
    return found


def interval_of(run: Mapping[str, Any], intervals: Mapping[str, int]) -> int:
    """The switch interval of a run, ns."""
    return intervals.get(str(run["python"]), SWITCH_INTERVAL_NS)


def _by_method(tables: Tables, metric: str) -> Numbers:
    return joined(*(_numbers(tables, metric, method) for method in (KERNEL_UPROBE, WAITS_PROBE)))


def _numbers(tables: Tables, metric: str, method: str) -> dict[Place, Estimate]:
    holds = _known_holds(tables, method)
    intervals = switch_intervals(tables)
    runs = {run["run_id"]: run for run in usable_runs(tables) if method in watchers(tables).get(run["run_id"], ())}
    frame = holds.place.assign(length=holds.lengths)
    frame = frame[frame["run_id"].isin(list(runs))]
    if metric == "gil_holds_over_interval":
        limits = {run_id: interval_of(run, intervals) for run_id, run in runs.items()}
        frame["length"] = (frame["length"] > frame["run_id"].map(limits).astype("int64")).astype("int64")
    how = "max" if metric == "gil_hold_longest_ns" else "sum"
    found: dict[Place, Estimate] = {(run_id,): measured(0.0, method, n=0) for run_id in runs}
    for keys in (KEYS, KEYS[:2], KEYS[:1]):
        groups = frame.groupby(keys, sort=False)["length"].agg([how, "size"]).reset_index()
        columns = [groups[name].tolist() for name in (*keys, how, "size")]
        for *place, value, count in zip(*columns, strict=True):
            found[tuple(place)] = measured(float(value), method, n=count)
    return found


@once
def _known_holds(tables: Tables, method: str) -> _KnownHolds:
    holds = tables.holds[(tables.holds["method"] == method) & tables.holds["start_ns"].notna()]
    windows = {
        run["run_id"]: (run["start_ns"], run["start_ns"] + run["wall_ns"])
        for run in usable_runs(tables)
        if run["start_ns"] is not None and run["wall_ns"] is not None
    }
    codes, names = pd.factorize(holds["run_id"])
    opens, closes = np.array([*(windows.get(name, (0, 0)) for name in names), (0, 0)], dtype=np.int64).T
    starts = np.clip(ints(holds["start_ns"]), opens[codes], closes[codes])
    lengths = np.clip(ints(holds["end_ns"]), opens[codes], closes[codes]) - starts
    place = holds[KEYS].astype({"run_id": "str"})
    kept = lengths > 0
    return _KnownHolds(place[kept].reset_index(drop=True), lengths[kept])


_UNITS = {"gil_hold_ns": "ns", "gil_hold_longest_ns": "ns", "gil_holds_over_interval": "count"}


def _metric(name: str, summary: str, method: str) -> Metric:
    return Metric(
        name=name,
        unit=_UNITS[name],
        better="lower",
        needs=("holds", "waits"),
        valid_on=f"{LINUX}, with capture waits or kernel",
        summary=summary,
        method=f"{method} Holds that ended while somebody waited, of known beginning. Cell: median, bootstrap "
        "interval.",
        compute=partial(compute, name),
    )


HOLD = _metric(
    "gil_hold_ns",
    "How long threads held the GIL in holds that somebody waited for.",
    "Sum over all threads of a run, from take to drop.",
)
LONGEST = _metric(
    "gil_hold_longest_ns", "The longest that a thread held the GIL while somebody waited.", "The largest hold of a run."
)
OVER_INTERVAL = _metric(
    "gil_holds_over_interval",
    "How often a thread held the GIL beyond the switch interval while somebody waited.",
    "Count of holds longer than sys.getswitchinterval(), 5 ms unless the run says otherwise.",
)
