"""gil_handoffs and their latency: how often the GIL passed from one thread to another that waited for it.

A handoff is a wait for the GIL that another thread ended by dropping the GIL: the last drop up to the wait's end freed
it, and that end is the take. Between the two no thread runs Python: the waiter is woken and has to get a CPU, and this
latency is what a handoff costs beside the wait itself.

Drops are in the table `holds`. Where a run has none (they were not recorded) each wait counts as a handoff, and the
latency is unavailable.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, measured, unavailable
from tracekit.analysis.metrics.gil.hold_metrics import NOT_WATCHED
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods

_NO_DROPS = unavailable("no GIL drop was recorded in this run")


def compute(metric: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    unit = "count" if metric == "gil_handoffs" else "ns"
    found = join_methods(*(_count_handoffs(analysis, metric, method) for method in (KERNEL_UPROBE, WAITS_PROBE)))
    return rows_of_methods(analysis, metric, unit, found, missing=NOT_WATCHED)


def _count_handoffs(analysis: Analysis, metric: str, method: str) -> dict[Place, Estimate]:
    runs = analysis.runs_watched_by(method)
    if not runs:
        return {}
    with_drops = analysis.runs_with_holds(method)
    handoffs = analysis.gil_handoffs(method)
    waits = analysis.gil_waits(method)
    found: dict[Place, Estimate] = {}
    for run_id in runs:
        if metric == "gil_handoffs":
            found[(run_id,)] = measured(0.0, method, n=0)
        elif run_id not in with_drops and (waits["run_id"] == run_id).any():
            found[(run_id,)] = _NO_DROPS
        else:
            found[(run_id,)] = unavailable("no thread waited for the GIL when it changed hands")
    frame = handoffs.place.assign(latency=handoffs.latency_ns)
    if metric == "gil_handoffs":
        blind = waits[~waits["run_id"].isin(list(with_drops))]
        frame = pd.concat([frame, blind[["run_id", "pid"]].assign(latency=0)], ignore_index=True)
    frame = frame[frame["run_id"].isin(list(runs))]
    for keys in (["run_id", "pid"], ["run_id"]):
        grouped = frame.groupby(keys, sort=False)["latency"]
        found |= {
            tuple(place): measured(_summarise(metric, grouped.get_group(tuple(place))), method, n=count)
            for *place, count in grouped.size().reset_index().itertuples(index=False)
        }
    return found


def _summarise(metric: str, latencies: pd.Series[int]) -> float:
    if metric == "gil_handoffs":
        return float(len(latencies))
    return float(np.percentile(latencies, 95 if metric == "gil_handoff_latency_p95_ns" else 50))


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
    "End of the wait - last drop by another thread up to it; run: median of its handoffs.",
    "lower",
)
LATENCY_P95 = _metric(
    "gil_handoff_latency_p95_ns",
    "ns",
    "The same: the latency that 5 % of the handoffs exceed.",
    "As gil_handoff_latency_ns; run: 95th percentile of its handoffs.",
    "lower",
)
