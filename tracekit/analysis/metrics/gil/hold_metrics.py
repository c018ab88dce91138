"""gil_hold_*: how long threads held the GIL in holds that ended while another thread waited.

A hold lasts from its take to its drop. Holds that no thread waited for are not recorded: they delay nobody. Of some the
beginning is not known (the thread took the GIL before the recording began, or unnoticed by the capture): they are in no
sum of durations.

    gil_hold_ns                 the sum of the known holds
    gil_hold_longest_ns         the longest of them
    gil_holds_over_interval     how many exceed the interpreter's switch interval, after which a waiter requests
                                it: code that does not drop it then (a C call that keeps the GIL) makes other
                                threads wait long
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, measured, unavailable
from tracekit.analysis.metrics.gil.holds import ASSUMED, find_places, look_up_intervals
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods

NOT_WATCHED = unavailable("needs capture waits or kernel, which see the GIL change hands")


def compute(metric: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    numbers = join_methods(*(_sum_holds(analysis, metric, method) for method in (KERNEL_UPROBE, WAITS_PROBE)))
    return rows_of_methods(analysis, metric, _UNITS[metric], numbers, missing=NOT_WATCHED)


def _sum_holds(analysis: Analysis, metric: str, method: str) -> dict[Place, Estimate]:
    holds = analysis.gil_holds(method)
    runs = analysis.runs_watched_by(method)
    if not runs:
        return {}
    frame = holds.place.assign(length=holds.lengths)
    frame = frame[frame["run_id"].isin(list(runs))]
    unknown: set[Place] = set()
    if metric == "gil_holds_over_interval":
        limits, assumed = look_up_intervals(frame, analysis.switch_intervals_ns)
        frame["length"] = (frame["length"] > limits).astype("int64")
        unknown = find_places(frame[assumed])
    how = "max" if metric == "gil_hold_longest_ns" else "sum"
    found: dict[Place, Estimate] = {(run_id,): measured(0.0, method, n=0) for run_id in runs}
    for keys in (KEYS, KEYS[:2], KEYS[:1]):
        groups = frame.groupby(keys, sort=False)["length"].agg([how, "size"]).reset_index()
        columns = [groups[name].tolist() for name in (*keys, how, "size")]
        for *place, value, count in zip(*columns, strict=True):
            found[tuple(place)] = measured(float(value), method, n=count)
    return found | {
        place: replace(found[place], quality="estimated", reason=ASSUMED) for place in unknown & found.keys()
    }


_UNITS = {"gil_hold_ns": "ns", "gil_hold_longest_ns": "ns", "gil_holds_over_interval": "count"}


def _metric(name: str, summary: str, method: str) -> Metric:
    return Metric(
        name=name,
        unit=_UNITS[name],
        better="lower",
        needs=("holds", "waits"),
        valid_on=f"{LINUX}, with capture waits or kernel",
        summary=summary,
        method=f"{method} Holds that ended while a thread waited, of known beginning. Cell: median, bootstrap "
        "interval.",
        compute=partial(compute, name),
    )


HOLD = _metric(
    "gil_hold_ns",
    "How long threads held the GIL in holds that another thread waited for.",
    "Sum over all threads of a run, from take to drop.",
)
LONGEST = _metric(
    "gil_hold_longest_ns",
    "The longest that a thread held the GIL while another thread waited.",
    "The largest hold of a run.",
)
OVER_INTERVAL = _metric(
    "gil_holds_over_interval",
    "How often a thread held the GIL beyond the switch interval while another thread waited.",
    "Count of holds longer than the switch interval: as the wait probe saw it in that process, "
    "else of the environment; 5 ms, estimated, where neither says it.",
)
