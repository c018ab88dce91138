"""From the metrics table to the groups of cells that a report is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tracekit.analysis.report.cells import BEST_FIRST, START_METHODS, Cell, Group, Number
from tracekit.analysis.tables import CELL, Tables, records
from tracekit.bundle.names import PROGRAM, UNTRACED, is_light

_SINGLE = "gil_wait_ns"
"""What is worth telling of a single run: how another method than the best one sees it."""

CellKey = tuple[str, str, str, str, int, str, str, str, str]


def groups(tables: Tables) -> tuple[Group, ...]:
    """The suite's groups, in the order they were first run."""
    cells = _cells(tables)
    names = list(dict.fromkeys((cell.os, cell.python) for cell in cells))
    return tuple(_group(name, [cell for cell in cells if (cell.os, cell.python) == name]) for name in names)


def _group(name: tuple[str, str], cells: list[Cell]) -> Group:
    in_order = sorted(cells, key=lambda cell: (cell.workload, cell.order, cell.capture))
    own = [cell for cell in in_order if not cell.control]
    traced = tuple(cell for cell in own if cell.capture != UNTRACED and cell.model != PROGRAM)
    return Group(
        os=name[0],
        python=name[1],
        cells=tuple(_with_twins(cell, traced) for cell in own if cell not in traced),
        controls=tuple(cell for cell in in_order if cell.control and cell.capture == UNTRACED),
        traced=traced,
    )


def _with_twins(cell: Cell, traced: tuple[Cell, ...]) -> Cell:
    same = [other for other in traced if _same(cell, other)]
    return replace(
        cell,
        twins=tuple(other for other in same if is_light(other.capture)),
        of_runs=tuple(number for other in same if not is_light(other.capture) for number in other.of_runs),
    )


def _same(cell: Cell, other: Cell) -> bool:
    return all(getattr(cell, name) == getattr(other, name) for name in CELL if name != "capture")


def _cells(tables: Tables) -> list[Cell]:
    numbers: dict[CellKey, list[Number]] = {}
    of_runs: dict[CellKey, list[Number]] = {}
    for row in records(tables.metrics[tables.metrics["scope"] == "cell"]):
        numbers.setdefault(_key(row), []).append(number_of(row))
    for row in records(tables.metrics[(tables.metrics["scope"] == "run") & (tables.metrics["metric"] == _SINGLE)]):
        of_runs.setdefault(_key(row), []).append(number_of(row))
    runs: dict[CellKey, list[Mapping[str, Any]]] = {}
    for row in records(tables.runs):
        runs.setdefault(_key(row), []).append(row)
    main = tables.suite.get("workload")
    keys = dict.fromkeys([*runs, *numbers])
    return [
        replace(_cell(key, runs.get(key, []), numbers.get(key, []), main), of_runs=tuple(of_runs.get(key, ())))
        for key in keys
    ]


def _cell(key: CellKey, runs: list[Mapping[str, Any]], numbers: list[Number], main: object) -> Cell:
    warm = [run for run in runs if not run["warmup"]]
    # However a program ended, its wall is known.
    usable = [run for run in warm if run["wall_ns"] is not None and (run["status"] == "ok" or key[3] == PROGRAM)]
    # A control that is itself what was asked for is reported like any other workload.
    control = key[0] != main and (all(run["control"] for run in runs) if runs else main is not None)
    gil = [run["gil_enabled"] for run in runs if run["gil_enabled"] is not None]
    return Cell(
        workload=key[0],
        size=key[1],
        parameters=key[2],
        model=key[3],
        workers=key[4],
        # A bundle may leave the start method to its model's name.
        start_method=key[5] or (key[3] if key[3] in START_METHODS else ""),
        capture=key[6],
        os=key[7],
        python=key[8],
        control=bool(control),
        kind=next((str(run["kind"]) for run in runs if run["kind"]), ""),
        gil_enabled=bool(gil[0]) if gil else None,
        runs=len(warm),
        walls_ns=tuple(int(run["wall_ns"]) for run in usable),
        every=tuple(numbers),
    )


def _key(row: Mapping[str, Any]) -> CellKey:
    texts = {name: str(row[name]) if row[name] is not None else "" for name in CELL}
    workers = int(row["workers"]) if row["workers"] is not None else 1
    return (
        texts["workload"],
        texts["size"],
        texts["parameters"],
        texts["model"],
        workers,
        texts["start_method"],
        texts["capture"] or "none",
        texts["os"],
        texts["python"],
    )


def number_of(row: Mapping[str, Any]) -> Number:
    """One row of the metrics table, given as a dict in which a missing value is None."""
    quality = str(row["quality"] or "measured")
    return Number(
        metric=str(row["metric"]),
        value=_finite(row["value"]),
        lower=_finite(row["lower"]),
        upper=_finite(row["upper"]),
        unit=str(row["unit"] or ""),
        method=str(row["method"] or ""),
        quality=quality if quality in BEST_FIRST else "unavailable",
        n=int(row["n"]) if row["n"] is not None else 0,
        reason=str(row["reason"] or ""),
        capture=str(row["capture"] or UNTRACED),
    )


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
