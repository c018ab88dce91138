"""How often the GIL passed from one thread to another that waited for it, and how long that took.

A handoff is a wait for the GIL that ended because its holder dropped it: of a wait, the last drop by another thread
inside it gave the GIL free, and the wait's end is the take. Between the two nobody runs Python: the waiter is woken and
has to get a CPU, and this latency is what a handoff costs beside the wait itself.

Drops are in `holds`. Where a run has none (they were not recorded) a handoff is counted per wait, and the latency is
unavailable.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.gil.holds import NOT_WATCHED
from tracekit.analysis.metrics.interval_timeline import Ints, Lanes, ints
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import GIL, seen_waits, watchers
from tracekit.analysis.metrics.rows import Place, from_methods
from tracekit.analysis.metrics.thread_sums import joined
from tracekit.analysis.tables import Tables

GIL_KEYS = ["run_id", "pid", "object"]
_NO_DROPS = unavailable("no GIL drop was recorded in this run")


class Handoffs(NamedTuple):
    """`place`: run_id and pid of each handoff; `latency_ns` from drop to take."""

    place: pd.DataFrame
    latency_ns: Ints


def compute(metric: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    unit = "count" if metric == "gil_handoffs" else "ns"
    found = joined(*(_numbers(tables, metric, method) for method in (KERNEL_UPROBE, WAITS_PROBE)))
    return from_methods(tables, metric, unit, found, missing=NOT_WATCHED)


def _numbers(tables: Tables, metric: str, method: str) -> dict[Place, Estimate]:
    runs = {run_id for run_id, methods in watchers(tables).items() if method in methods}
    with_drops = set(tables.holds.loc[tables.holds["method"] == method, "run_id"])
    handoffs = handed_over(tables, method)
    waits = _waits(tables, method)
    found: dict[Place, Estimate] = {}
    for run_id in runs:
        if metric == "gil_handoffs":
            found[(run_id,)] = measured(0.0, method, n=0)
        elif run_id not in with_drops and (waits["run_id"] == run_id).any():
            found[(run_id,)] = _NO_DROPS
        else:
            found[(run_id,)] = unavailable("the GIL changed hands with nobody waiting")
    frame = handoffs.place.assign(latency=handoffs.latency_ns)
    if metric == "gil_handoffs":
        blind = waits[~waits["run_id"].isin(with_drops)]
        frame = pd.concat([frame, blind[["run_id", "pid"]].assign(latency=0)], ignore_index=True)
    frame = frame[frame["run_id"].isin(list(runs))]
    for keys in (["run_id", "pid"], ["run_id"]):
        grouped = frame.groupby(keys, sort=False)["latency"]
        found |= {
            tuple(place): measured(_value(metric, grouped.get_group(tuple(place))), method, n=count)
            for *place, count in grouped.size().reset_index().itertuples(index=False)
        }
    return found


def _value(metric: str, latencies: pd.Series[int]) -> float:
    if metric == "gil_handoffs":
        return float(len(latencies))
    return float(np.percentile(latencies, 95 if metric == "gil_handoff_latency_p95_ns" else 50))


@once
def handed_over(tables: Tables, method: str) -> Handoffs:
    """All handoffs of usable runs of which the drop was recorded, in the order of the takes."""
    waits = _waits(tables, method)
    holds = tables.holds[(tables.holds["method"] == method) & tables.holds["end_ns"].notna()].reset_index(drop=True)
    lanes = gil_lanes(tables)
    ends = ints(holds["end_ns"])
    # A stamp as an interval of 1 ns: the drop is where it begins.
    drops = lanes.lay(holds, ends, ends + 1)
    starts = ints(waits["start_ns"])
    asked = lanes.lay(waits, starts, starts + ints(waits["dur_ns"]))
    last = np.searchsorted(drops.starts, asked.ends, side="right") - 1
    matched = (last >= 0) & (drops.starts[last] >= asked.starts) if len(drops.starts) else np.zeros(len(last), np.bool_)
    asked_rows, last = asked.rows[matched], last[matched]
    ended = asked.ends[matched]
    others = ints(waits["tid"])[asked_rows] != ints(holds["tid"])[drops.rows[last]]
    asked_rows, last, ended = asked_rows[others], last[others], ended[others]
    # One drop frees the GIL for one waiter: the first to have it. Others that woke saw the drop of somebody else.
    order = np.lexsort((ended, last))
    _, first = np.unique(last[order], return_index=True)
    chosen = order[first]
    place = waits[["run_id", "pid"]].iloc[asked_rows[chosen]].reset_index(drop=True)
    return Handoffs(place, ended[chosen] - drops.starts[last[chosen]])


@once
def gil_lanes(tables: Tables) -> Lanes:
    """A lane for each GIL that somebody waited for or held: the run window."""
    gils = pd.concat(
        [tables.waits.loc[tables.waits["kind"] == GIL, GIL_KEYS], tables.holds[GIL_KEYS]], ignore_index=True
    )
    gils = gils.astype({"run_id": "str", "object": "str"}).drop_duplicates()
    windows = {
        run["run_id"]: (run["start_ns"], run["start_ns"] + run["wall_ns"])
        for run in usable_runs(tables)
        if run["start_ns"] is not None and run["wall_ns"] is not None
    }
    gils = gils[gils["run_id"].isin(list(windows))].reset_index(drop=True)
    edges = np.array([windows[run_id] for run_id in gils["run_id"]], dtype=np.int64).reshape(-1, 2)
    return Lanes(gils, GIL_KEYS, edges[:, 0], edges[:, 1])


def _waits(tables: Tables, method: str) -> pd.DataFrame:
    found = seen_waits(tables)
    rows = found.of(method, GIL).rows
    return found.waits.iloc[rows].reset_index(drop=True)


def _metric(name: str, unit: str, summary: str, method: str, better: str) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        better=better,
        needs=("waits", "holds"),
        valid_on=f"{LINUX}, with capture waits or kernel",
        summary=summary,
        method=f"{method} Run: over all its GILs. Cell: median of the runs, bootstrap interval.",
        compute=partial(compute, name),
    )


COUNT = _metric(
    "gil_handoffs",
    "count",
    "How often the GIL passed from one thread to another that waited for it.",
    "GIL waits that ended after a drop by another thread; where drops were not recorded, all GIL waits.",
    "neither",
)
LATENCY = _metric(
    "gil_handoff_latency_ns",
    "ns",
    "How long a handoff of the GIL takes, from the drop until the waiter has it: the median.",
    "End of the wait - last drop by another thread inside it; run: median of its handoffs.",
    "lower",
)
LATENCY_P95 = _metric(
    "gil_handoff_latency_p95_ns",
    "ns",
    "The same: the latency that 5 % of the handoffs exceed.",
    "As gil_handoff_latency_ns; run: 95th percentile of its handoffs.",
    "lower",
)
