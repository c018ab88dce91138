"""From estimates to rows of the metrics table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tracekit.metrics.cells import Cell, untraced_cells, usable_runs
from tracekit.metrics.estimate import Estimate, pooled_median, unavailable
from tracekit.tables import CELL, Tables, from_rows

NOT_RECORDED = unavailable("not recorded in this run")

Place = tuple[Any, ...]
"""(run_id, pid) of a process or (run_id, pid, tid) of a thread."""


class Rows:
    """Collects the rows of one metric of one suite."""

    def __init__(self, tables: Tables, metric: str, unit: str) -> None:
        self._fixed = {"metric": metric, "unit": unit}
        self._runs = {run["run_id"]: run for run in usable_runs(tables)}
        self._rows: list[dict[str, Any]] = []

    def cell(self, cell: Cell, estimate: Estimate) -> None:
        """A number about the pooled repeats of a cell."""
        self._rows.append(
            {"suite_id": cell.suite_id, **cell.columns, "scope": "cell", **self._fixed, **_columns(estimate)}
        )

    def run(self, run: Mapping[str, Any], estimate: Estimate) -> None:
        """A number about one run, given as the dict of its columns."""
        self._rows.append({**_of_run(run), "scope": "run", **self._fixed, **_columns(estimate)})

    def places(self, estimates: Mapping[Place, Estimate]) -> None:
        """Numbers about processes or threads; those of runs that do not count are left out."""
        for place, estimate in estimates.items():
            run = self._runs.get(place[0])
            if run is not None:
                scope = "process" if len(place) == 2 else "thread"
                where = {"pid": place[1], "tid": place[2] if len(place) == 3 else None}
                self._rows.append({**_of_run(run), "scope": scope, **where, **self._fixed, **_columns(estimate)})

    def frame(self) -> pd.DataFrame:
        """The rows as a metrics table."""
        return from_rows("metrics", self._rows)


def from_runs(
    tables: Tables,
    metric: str,
    unit: str,
    estimates: Mapping[str, Estimate],
    *,
    places: Mapping[Place, Estimate] | None = None,
    pool: Callable[[Sequence[Estimate]], Estimate] = pooled_median,
    missing: Callable[[Mapping[str, Any]], Estimate] = lambda _run: NOT_RECORDED,
) -> pd.DataFrame:
    """Rows of scope run and cell from one estimate per run id, and of the places given.

    A run without an estimate gets what `missing` says of it, never nothing.
    """
    rows = Rows(tables, metric, unit)
    complete = {run["run_id"]: estimates.get(run["run_id"]) or missing(run) for run in usable_runs(tables)}
    for run in usable_runs(tables):
        rows.run(run, complete[run["run_id"]])
    rows.places(places or {})
    for cell in untraced_cells(tables):
        rows.cell(cell, pool([complete[run_id] for run_id in cell.runs]))
    return rows.frame()


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
