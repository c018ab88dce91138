"""The task spans of each run, as arrays: when each task began, how long it took and how much of that on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """The task spans of one run, by start; all ns. `item` and `cpu` are -1 where not known."""

    lane: Ints
    item: Ints
    start: Ints
    dur: Ints
    cpu: Ints

    @property
    def end(self) -> Ints:
        return self.start + self.dur


@once
def task_spans(tables: Tables) -> dict[str, Tasks]:
    """Per usable run that has any."""
    usable = {run["run_id"] for run in usable_runs(tables)}
    spans = tables.spans[(tables.spans["name"] == "task") & tables.spans["run_id"].isin(usable)]
    spans = spans.dropna(subset=["start_ns", "dur_ns"]).sort_values("start_ns", kind="stable")
    lane = spans.groupby(["pid", "tid"], dropna=False).ngroup().to_numpy(np.int64)
    names = ("item", "start_ns", "dur_ns", "cpu_ns")
    columns = [lane, *(spans[name].fillna(-1).to_numpy(np.int64) for name in names)]
    codes, run_ids = pd.factorize(spans["run_id"])
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(run_ids) + 1))
    found = {}
    for number, run_id in enumerate(run_ids):
        rows = order[edges[number] : edges[number + 1]]
        of_lane, item, start, dur, cpu = (column[rows] for column in columns)
        found[str(run_id)] = Tasks(lane=of_lane, item=item, start=start, dur=dur, cpu=cpu)
    return found
