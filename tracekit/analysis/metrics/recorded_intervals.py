"""What was recorded of threads as intervals: waits, scheduling states and tasks, on the timeline of their lifetimes.

Two captures may have watched one run. For GIL waits each is a method of its own; all other waits are the probe's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, Place
from tracekit.analysis.metrics.interval_timeline import (
    Bools,
    Intervals,
    IntervalTimeline,
    Ints,
    make_disjoint,
    measure_overlap,
    to_ints,
)
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.thread_sums import sum_threads
from tracekit.analysis.tables import SCHED_STATES, Tables
from tracekit.bundle.names import KERNEL, WAITS, split_capture

GIL, GIL_SWITCH = "gil", "gil-switch"


class RecordedWaits(NamedTuple):
    """The waits of all usable runs.

    threads    the lifetimes table
    timeline   one lane per row of it
    waits      the rows of the table `waits` that have a start and a length
    line       these waits on the timeline; `line.rows` are rows of `waits`
    """

    threads: pd.DataFrame
    timeline: IntervalTimeline
    waits: pd.DataFrame
    line: Intervals

    def select(self, method: str, *kinds: str) -> Intervals:
        """The waits of this method and these kinds, on the timeline."""
        return self.line.select(self.are(method, *kinds))

    def are(self, method: str, *kinds: str) -> Bools:
        """Per interval of `line`: whether it is of this method and one of these kinds."""
        wanted = (self.waits["method"] == method) & self.waits["kind"].isin(kinds)
        chosen: Bools = wanted.to_numpy(bool, na_value=False)[self.line.rows]
        return chosen


class SchedStates(NamedTuple):
    """The kernel's scheduling intervals on the timeline, disjoint, by state.

    cpus   the CPU of each row of the intervals (int64), -1 where it is not known
    """

    running: Intervals
    runnable: Intervals
    sleeping: Intervals
    disk: Intervals
    cpus: Ints


def lay_waits(lifetimes: pd.DataFrame, waits: pd.DataFrame) -> RecordedWaits:
    """The waits on a timeline of the lifetimes. A thread of unknown lifetime gets the whole window of its run."""
    born = to_ints(lifetimes["born"].fillna(lifetimes["opens"]))
    died = to_ints(lifetimes["died"].fillna(lifetimes["closes"]))
    timeline = IntervalTimeline(lifetimes, KEYS, born, died)
    waits = waits[waits["start_ns"].notna() & waits["dur_ns"].notna()].reset_index(drop=True)
    return RecordedWaits(lifetimes, timeline, waits, timeline.lay_rows(waits))


def lay_sched_states(timeline: IntervalTimeline, sched: pd.DataFrame) -> SchedStates:
    """The table `sched` on the timeline."""
    sched = sched[sched["start_ns"].notna() & sched["dur_ns"].notna()].reset_index(drop=True)
    line = make_disjoint(timeline.lay_rows(sched))
    running, runnable, sleeping, disk = (
        line.select((sched["state"] == state).to_numpy(bool)[line.rows]) for state in SCHED_STATES
    )
    return SchedStates(running, runnable, sleeping, disk, to_ints(sched["cpu"].fillna(-1)))


def cut_to_run(waits: pd.DataFrame, run: pd.DataFrame) -> pd.DataFrame:
    """The parts of these waits that lie inside the run, one row of its table: inside its window, where it has one."""
    if run.empty or run[["start_ns", "wall_ns"]].isna().any(axis=None):
        return waits
    opens = int(run["start_ns"].iloc[0])
    closes = opens + int(run["wall_ns"].iloc[0])
    starts, ends = (stamps.clip(opens, closes) for stamps in (waits["start_ns"], waits["start_ns"] + waits["dur_ns"]))
    return waits.assign(start_ns=starts, dur_ns=ends - starts)[(ends > starts) | (waits["dur_ns"] == 0)]


def find_recorded(timeline: IntervalTimeline, states: SchedStates) -> Bools:
    """Which threads, lanes of the timeline, the kernel's scheduling record has."""
    starts = np.concatenate([part.starts for part in states[:4]])
    found: Bools = timeline.count_by_lane(starts) > 0
    return found


def lay_tasks(timeline: IntervalTimeline, spans: pd.DataFrame) -> Intervals:
    """All task spans on the timeline, disjoint."""
    return make_disjoint(timeline.lay_rows(spans[spans["name"] == "task"].reset_index(drop=True)))


def find_wait_methods(tables: Tables, usable_runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Per usable run in which GIL waits could be recorded: the methods that could, the best first.

    The probe records them wherever it runs. The kernel's uprobes need the interpreter's symbols, and its capture gives
    a notice where there are none. A run whose kernel trace was left out, as one on another clock, has no scheduling
    record either: it was not watched.
    """
    traced = set(tables.sched["run_id"].dropna().unique())
    blind = set(tables.notices.loc[tables.notices["code"] == "kernel-no-symbols", "run_id"])
    by_kernel = set(tables.waits.loc[tables.waits["method"] == KERNEL_UPROBE, "run_id"])
    by_probe = set(tables.waits.loc[tables.waits["method"] == WAITS_PROBE, "run_id"])
    found: dict[str, tuple[str, ...]] = {}
    for run in usable_runs:
        by_uprobes = KERNEL in split_capture(run["capture"]) and run["run_id"] in traced - blind
        methods = [KERNEL_UPROBE] if by_uprobes or run["run_id"] in by_kernel else []
        if WAITS in split_capture(run["capture"]) or run["run_id"] in by_probe:
            methods.append(WAITS_PROBE)
        if methods:
            found[run["run_id"]] = tuple(methods)
    return found


def sum_waits(recorded: RecordedWaits, watched: Bools, method: str, *kinds: str) -> dict[Place, Estimate]:
    """The time that threads, processes and runs spent in waits of these kinds; 0 where the method recorded none.

    `watched` says which threads, rows of `recorded.threads`, the method could record waits of.
    """
    if not watched.any():
        return {}
    waits = recorded.select(method, *kinds)
    values = recorded.timeline.sum_by_lane(waits.starts, waits.lengths)
    counts = recorded.timeline.count_by_lane(waits.starts)
    return sum_threads(recorded.threads[watched], values[watched], counts[watched], method)


def sum_gil_waits_in_tasks(recorded: RecordedWaits, tasks: Intervals, method: str) -> dict[Place, float]:
    """Per thread: the part of its GIL wait, ns, within its tasks, which is what an accounting bound is a bound of."""
    waits = recorded.select(method, GIL)
    inside: Ints = recorded.timeline.sum_by_lane(waits.starts, measure_overlap(waits.starts, waits.ends, tasks))
    places = zip(*(recorded.threads[key].tolist() for key in KEYS), strict=True)
    return dict(zip(places, inside.astype(np.float64).tolist(), strict=True))
