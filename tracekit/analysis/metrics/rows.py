"""From estimates to rows of the metrics table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.estimate import Estimate, Numbers, Place, pooled_median, unavailable
from tracekit.analysis.metrics.methods import find_family, sort_by_rank
from tracekit.analysis.tables import CELL, from_rows

NOT_RECORDED = unavailable("not recorded in this run")

Pool = Callable[[Sequence[Estimate]], Estimate]
"""From the estimates of a cell's runs to that of the cell."""


class MetricRows:
    """Collects the rows of one metric of one suite."""

    def __init__(self, analysis: Analysis, metric: str, unit: str) -> None:
        self._fixed = {"metric": metric, "unit": unit}
        self._runs = {run["run_id"]: run for run in analysis.usable_runs}
        self.rows: list[dict[str, Any]] = []

    def add_cell(self, cell: CellRuns, estimate: Estimate) -> None:
        """A number of the pooled repeats of a cell."""
        self.rows.append(
            {"suite_id": cell.suite_id, **cell.columns, "scope": "cell", **self._fixed, **_columns(estimate)}
        )

    def add_run(self, run: Mapping[str, Any], estimate: Estimate) -> None:
        """A number of one run, given as the dict of its columns."""
        self.rows.append({**_of_run(run), "scope": "run", **self._fixed, **_columns(estimate)})

    def add_places(self, estimates: Mapping[Place, Estimate]) -> None:
        """Numbers of processes or threads; those of runs that are not usable are left out."""
        for place, estimate in estimates.items():
            run = self._runs.get(place[0])
            if run is not None:
                scope = "process" if len(place) == 2 else "thread"
                where = {"pid": place[1], "tid": place[2] if len(place) == 3 else None}
                self.rows.append({**_of_run(run), "scope": scope, **where, **self._fixed, **_columns(estimate)})

    def to_frame(self) -> pd.DataFrame:
        """The rows as a metrics table."""
        return from_rows("metrics", self.rows)


def rows_of_runs(
    analysis: Analysis,
    metric: str,
    unit: str,
    estimates: Mapping[str, Estimate],
    *,
    places: Mapping[Place, Estimate] | None = None,
    pool: Pool = pooled_median,
    missing: Callable[[Mapping[str, Any]], Estimate] = lambda _run: NOT_RECORDED,
) -> pd.DataFrame:
    """Rows of scope run and cell from one estimate per run id, and of the places given, over the timed cells.

    A run without an estimate gets the one that `missing` gives for it.
    """
    rows = MetricRows(analysis, metric, unit)
    complete = {run["run_id"]: estimates.get(run["run_id"]) or missing(run) for run in analysis.usable_runs}
    for run in analysis.usable_runs:
        rows.add_run(run, complete[run["run_id"]])
    rows.add_places(places or {})
    for cell in analysis.timed_cells:
        rows.add_cell(cell, pool([complete[run_id] for run_id in cell.runs]))
    return rows.to_frame()


def rows_of_methods(
    analysis: Analysis,
    metric: str,
    unit: str,
    numbers: Numbers,
    *,
    pool: Pool = pooled_median,
    missing: Estimate = NOT_RECORDED,
) -> pd.DataFrame:
    """Rows of every place and method, the best method first; of runs, and of cells of light captures as well.

    A run without any estimate gets `missing`. A cell has a row for each method that any of its runs has.
    """
    rows = MetricRows(analysis, metric, unit)
    complete = {
        run["run_id"]: sort_by_rank(numbers.get((run["run_id"],), ())) or [missing] for run in analysis.usable_runs
    }
    for run in analysis.usable_runs:
        for estimate in complete[run["run_id"]]:
            rows.add_run(run, estimate)
    for place, estimates in numbers.items():
        if len(place) > 1:
            for estimate in sort_by_rank(estimates):
                rows.add_places({place: estimate})
    for cell in analysis.lightly_traced_cells:
        for estimate in pool_by_method([complete[run_id] for run_id in cell.runs], pool):
            rows.add_cell(cell, estimate)
    return rows.to_frame()


def pool_by_method(runs: Sequence[Sequence[Estimate]], pool: Pool) -> list[Estimate]:
    """One estimate per method over the runs of a cell that have it, the best method first."""
    by_family: dict[str, list[Estimate]] = {}
    for estimates in runs:
        for estimate in estimates:
            if estimate.available:
                by_family.setdefault(find_family(estimate.method), []).append(estimate)
    if not by_family:
        return [pool([estimate for estimates in runs for estimate in estimates[:1]])]
    return sort_by_rank(pool(estimates) for estimates in by_family.values())


def _of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in ("suite_id", "run_id", *CELL)}


def _columns(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "method": estimate.method,
        "quality": estimate.quality,
        "n": estimate.n,
        "reason": estimate.reason,
    }
