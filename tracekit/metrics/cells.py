"""Which runs a metric may use, and which of them are repeats of one another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.tables import CELL, Tables

SERIAL = "serial"
UNTRACED = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: its CELL columns, what else its runs have in common, and the ids of the runs that count."""

    suite_id: str
    columns: Mapping[str, Any]
    kind: str
    control: bool
    runs: tuple[str, ...]
    """Runs that ended ok and are no warm-up. May be empty: then everything about the cell is unavailable."""
    warmups: tuple[str, ...]
    """Warm-up runs that ended ok, where memory was read."""

    def same(self, other: Cell, *columns: str) -> bool:
        """Whether both agree in these CELL columns."""
        return all(self.columns[name] == other.columns[name] for name in columns)

    @property
    def model(self) -> str:
        return str(self.columns["model"])

    @property
    def starts_processes(self) -> bool:
        return bool(self.columns["start_method"])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts, with None for whatever is missing."""
    names = list(frame.columns)
    columns = [_values(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def untraced_cells(tables: Tables) -> list[Cell]:
    """Every cell of untraced runs, in the order the suite first names it."""
    return cells(tables, traced=False)


def traced_cells(tables: Tables) -> list[Cell]:
    """Every cell of traced runs."""
    return cells(tables, traced=True)


def cells(tables: Tables, *, traced: bool) -> list[Cell]:
    """The cells of traced or of untraced runs."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in records(tables.runs):
        if (run["capture"] != UNTRACED) == traced:
            groups.setdefault(tuple(run[name] for name in CELL), []).append(run)
    return [_cell(runs) for runs in groups.values()]


def usable_runs(tables: Tables) -> list[dict[str, Any]]:
    """Runs that ended ok and are no warm-up, traced ones included, as dicts of their columns."""
    return [run for run in records(tables.runs) if _ok(run) and not run["warmup"]]


def _values(series: pd.Series[Any]) -> list[Any]:
    # Column by column: DataFrame.where over objects takes ten times as long.
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
        return [None if math.isnan(value) else value for value in series.tolist()]
    pairs = zip(series.tolist(), series.isna().tolist(), strict=True)
    return [None if missing else value for value, missing in pairs]


def _cell(runs: list[dict[str, Any]]) -> Cell:
    first = runs[0]
    return Cell(
        suite_id=first["suite_id"],
        columns={name: first[name] for name in CELL},
        kind=first["kind"] or "",
        control=bool(first["control"]),
        runs=tuple(run["run_id"] for run in runs if _ok(run) and not run["warmup"]),
        warmups=tuple(run["run_id"] for run in runs if _ok(run) and run["warmup"]),
    )


def _ok(run: Mapping[str, Any]) -> bool:
    return bool(run["status"] == "ok")
