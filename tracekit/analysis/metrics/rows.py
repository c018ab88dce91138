"""From estimates to rows of the metrics table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import Cell, timed_cells, told_cells, usable_runs
from tracekit.analysis.metrics.estimate import Estimate, pooled_median, unavailable
from tracekit.analysis.metrics.methods import best_first, family
from tracekit.analysis.tables import CELL, Tables, from_rows

NOT_RECORDED = unavailable("not recorded in this run")

Place = tuple[Any, ...]
"""(run_id, pid) of a process or (run_id, pid, tid) of a thread; (run_id,) of a run."""

Numbers = Mapping[Place, Sequence[Estimate]]
"""What each method says of each place."""

Pool = Callable[[Sequence[Estimate]], Estimate]


class Rows:
    """Collects the rows of one metric of one suite."""

    def __init__(self, tables: Tables, metric: str, unit: str) -> None:
        self._fixed = {"metric": metric, "unit": unit}
        self._runs = {run["run_id"]: run for run in usable_runs(tables)}
        self.rows: list[dict[str, Any]] = []

    def cell(self, cell: Cell, estimate: Estimate) -> None:
        """A number about the pooled repeats of a cell."""
        self.rows.append(
            {"suite_id": cell.suite_id, **cell.columns, "scope": "cell", **self._fixed, **_columns(estimate)}
        )

    def run(self, run: Mapping[str, Any], estimate: Estimate) -> None:
        """A number about one run, given as the dict of its columns."""
        self.rows.append({**_of_run(run), "scope": "run", **self._fixed, **_columns(estimate)})

    def places(self, estimates: Mapping[Place, Estimate]) -> None:
        """Numbers about processes or threads; those of runs that do not count are left out."""
        for place, estimate in estimates.items():
            run = self._runs.get(place[0])
            if run is not None:
                scope = "process" if len(place) == 2 else "thread"
                where = {"pid": place[1], "tid": place[2] if len(place) == 3 else None}
                self.rows.append({**_of_run(run), "scope": scope, **where, **self._fixed, **_columns(estimate)})

    def frame(self) -> pd.DataFrame:
        """The rows as a metrics table."""
        return from_rows("metrics", self.rows)


def from_runs(
    tables: Tables,
    metric: str,
    unit: str,
    estimates: Mapping[str, Estimate],
    *,
    places: Mapping[Place, Estimate] | None = None,
    pool: Pool = pooled_median,
    missing: Callable[[Mapping[str, Any]], Estimate] = lambda _run: NOT_RECORDED,
) -> pd.DataFrame:
    """Rows of scope run and cell from one estimate per run id, and of the places given, for what only untraced runs
    and programs have cells of.

    A run without an estimate gets what `missing` says of it, never nothing.
    """
    rows = Rows(tables, metric, unit)
    complete = {run["run_id"]: estimates.get(run["run_id"]) or missing(run) for run in usable_runs(tables)}
    for run in usable_runs(tables):
        rows.run(run, complete[run["run_id"]])
    rows.places(places or {})
    for cell in timed_cells(tables):
        rows.cell(cell, pool([complete[run_id] for run_id in cell.runs]))
    return rows.frame()


def from_methods(
    tables: Tables,
    metric: str,
    unit: str,
    numbers: Numbers,
    *,
    pool: Pool = pooled_median,
    missing: Estimate = NOT_RECORDED,
) -> pd.DataFrame:
    """Rows of every place and method, the best method first; of runs, and of cells also where a light capture watched.

    A run of which no method says anything gets `missing`. A cell has a row per method that any of its runs has.
    """
    rows = Rows(tables, metric, unit)
    complete = {
        run["run_id"]: best_first(numbers.get((run["run_id"],), ())) or [missing] for run in usable_runs(tables)
    }
    for run in usable_runs(tables):
        for estimate in complete[run["run_id"]]:
            rows.run(run, estimate)
    for place, estimates in numbers.items():
        if len(place) > 1:
            for estimate in best_first(estimates):
                rows.places({place: estimate})
    for cell in told_cells(tables):
        for estimate in pooled_by_method([complete[run_id] for run_id in cell.runs], pool):
            rows.cell(cell, estimate)
    return rows.frame()


def pooled_by_method(runs: Sequence[Sequence[Estimate]], pool: Pool) -> list[Estimate]:
    """One estimate per method over the runs of a cell that have it, the best method first."""
    by_family: dict[str, list[Estimate]] = {}
    for estimates in runs:
        for estimate in estimates:
            if estimate.available:
                by_family.setdefault(family(estimate.method), []).append(estimate)
    if not by_family:
        return [pool([estimate for estimates in runs for estimate in estimates[:1]])]
    return best_first(pool(estimates) for estimates in by_family.values())


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
