"""The waits that a run's watchers saw, cut to the lives of their threads.

Two may have watched one run. For waits on the GIL each is a method of its own; all other waits are the probe's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import captures, usable_runs
from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Lanes, ints
from tracekit.analysis.metrics.lifetimes import KEYS, lives
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import Tables

GIL, GIL_SWITCH = "gil", "gil-switch"


class SeenWaits(NamedTuple):
    """`threads`: the rows of `lives`, one lane each; `waits`: the table; `line`: the waits on the lanes."""

    threads: pd.DataFrame
    lanes: Lanes
    waits: pd.DataFrame
    line: Intervals

    def of(self, method: str, *kinds: str) -> Intervals:
        """Only the waits of this method and these kinds."""
        return self.line.chosen(self.among(method, *kinds))

    def among(self, method: str, *kinds: str) -> Bools:
        """Which waits of the line are of this method and these kinds."""
        wanted = (self.waits["method"] == method) & self.waits["kind"].isin(kinds)
        chosen: Bools = wanted.to_numpy(bool, na_value=False)[self.line.rows]
        return chosen


@once
def seen_waits(tables: Tables) -> SeenWaits:
    """All waits of usable runs. A thread whose life is not known lives as long as its run."""
    threads = lives(tables)
    born = ints(threads["born"].fillna(threads["opens"]))
    died = ints(threads["died"].fillna(threads["closes"]))
    lanes = Lanes(threads, KEYS, born, died)
    waits = tables.waits[tables.waits["start_ns"].notna() & tables.waits["dur_ns"].notna()].reset_index(drop=True)
    starts = ints(waits["start_ns"])
    return SeenWaits(threads, lanes, waits, lanes.lay(waits, starts, starts + ints(waits["dur_ns"])))


@once
def watchers(tables: Tables) -> dict[str, tuple[str, ...]]:
    """Per usable run that was watched: who could see GIL waits there, the best first.

    The probe sees them wherever it runs. The kernel's uprobes need the interpreter's symbols, and its capture gives a
    notice where there are none. A run of which its trace was left out, on another clock say, has no scheduling record
    either: nobody watched it.
    """
    traced = set(tables.sched["run_id"].dropna().unique())
    blind = set(tables.notices.loc[tables.notices["code"] == "kernel-no-symbols", "run_id"])
    by_kernel = set(tables.waits.loc[tables.waits["method"] == KERNEL_UPROBE, "run_id"])
    by_probe = set(tables.waits.loc[tables.waits["method"] == WAITS_PROBE, "run_id"])
    found: dict[str, tuple[str, ...]] = {}
    for run in usable_runs(tables):
        seeing = "kernel" in captures(run) and run["run_id"] in traced - blind
        methods = [KERNEL_UPROBE] if seeing or run["run_id"] in by_kernel else []
        if "waits" in captures(run) or run["run_id"] in by_probe:
            methods.append(WAITS_PROBE)
        if methods:
            found[run["run_id"]] = tuple(methods)
    return found


def watched_by(tables: Tables, threads: pd.DataFrame, method: str) -> Bools:
    """Which threads are of runs in which this method could see waits."""
    runs = {run_id for run_id, methods in watchers(tables).items() if method in methods}
    return np.asarray(threads["run_id"].isin(runs), dtype=np.bool_)
