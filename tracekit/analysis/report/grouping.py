"""From the metrics table to what reports are made of: groups of cells, and the numbers of single places of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tracekit.analysis.metrics.cells.observed import metric_name
from tracekit.analysis.metrics.methods import WAITS_PROBE, find_family
from tracekit.analysis.report.cells import (
    START_METHODS,
    CellGroup,
    Number,
    ObservedNumber,
    ReportCell,
    trust,
)
from tracekit.analysis.tables import CELL, QUALITIES, Tables, records
from tracekit.bundle.names import PROGRAM, UNTRACED, VIZTRACER, is_light, split_capture
from tracekit.bundle.stream_records import DIMENSIONS

_SINGLE = "gil_wait_ns"
"""The metric of which the rows of single runs are kept, for the method comparison."""

CellKey = tuple[str, str, str, str, int, str, str, str, str]


Place = tuple[int | None, int | None]
"""(pid, tid); (pid, None) of a process, (None, None) of the run."""

Numbers = dict[str, Number]
"""By metric, each by its best method."""


def groups(tables: Tables) -> tuple[CellGroup, ...]:
    """The suite's groups of cells, in the order in which they were first run."""
    cells = _cells(tables)
    names = list(dict.fromkeys((cell.os, cell.python) for cell in cells))
    return tuple(_group(name, [cell for cell in cells if (cell.os, cell.python) == name]) for name in names)


def _group(name: tuple[str, str], cells: list[ReportCell]) -> CellGroup:
    in_order = sorted(cells, key=lambda cell: (cell.workload, cell.order, cell.capture))
    own = [cell for cell in in_order if not cell.control]
    traced = tuple(cell for cell in own if cell.capture != UNTRACED and cell.model != PROGRAM)
    return CellGroup(
        os=name[0],
        python=name[1],
        cells=tuple(_with_twins(cell, traced) for cell in own if cell not in traced),
        controls=tuple(cell for cell in in_order if cell.control and cell.capture == UNTRACED),
        traced=traced,
    )


def _with_twins(cell: ReportCell, traced: tuple[ReportCell, ...]) -> ReportCell:
    same = [other for other in traced if _same(cell, other)]
    return replace(
        cell,
        twins=tuple(other for other in same if is_light(other.capture)),
        of_runs=tuple(
            number
            for other in same
            if not is_light(other.capture)
            for number in other.of_runs
            # VizTracer's run carries the wait probe for its picture only.
            if not (VIZTRACER in split_capture(other.capture) and find_family(number.method) == WAITS_PROBE)
        ),
    )


def _same(cell: ReportCell, other: ReportCell) -> bool:
    return all(getattr(cell, name) == getattr(other, name) for name in CELL if name != "capture")


def _cells(tables: Tables) -> list[ReportCell]:
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
    observations = _Observations(tables)
    return [
        replace(
            _cell(key, runs.get(key, []), numbers.get(key, []), main),
            of_runs=tuple(of_runs.get(key, ())),
            observed=observations.find(numbers.get(key, []), runs.get(key, [])),
        )
        for key in keys
    ]


class _Observations:
    """The dimensions of the observations of a suite, by their metric, and the texts by run."""

    def __init__(self, tables: Tables) -> None:
        self._by_metric: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, list[tuple[str, str]]] = {}
        for row in records(tables.observations):
            metric = metric_name(row["what"], row)
            given = {name: row[name] for name in DIMENSIONS if row[name] is not None}
            self._by_metric.setdefault(metric, {"what": row["what"], **given})
            if row["text"]:
                self._texts.setdefault(row["run_id"], []).append((metric, row["text"]))

    def find(self, numbers: list[Number], runs: list[Mapping[str, Any]]) -> tuple[ObservedNumber, ...]:
        """The observations of a cell with these numbers and runs: numbers first, then texts."""
        found = [
            ObservedNumber(number=number, **self._by_metric[number.metric])
            for number in numbers
            if number.metric in self._by_metric
        ]
        texts: dict[str, Counter[str]] = {}
        for run in runs:
            if run["status"] == "ok" and not run["warmup"]:
                for metric, text in self._texts.get(run["run_id"], ()):
                    texts.setdefault(metric, Counter())[text] += 1
        for metric, counts in texts.items():
            number = Number(metric=metric, reason="it is a text")
            text = "; ".join(text for text, _ in counts.most_common())
            found.append(ObservedNumber(number=number, text=text, **self._by_metric[metric]))
        return tuple(found)


def _cell(key: CellKey, runs: list[Mapping[str, Any]], numbers: list[Number], main: object) -> ReportCell:
    warm = [run for run in runs if not run["warmup"]]
    # However a program ended, its wall is known.
    usable = [run for run in warm if run["wall_ns"] is not None and (run["status"] == "ok" or key[3] == PROGRAM)]
    # A control that is itself what was asked for is reported like any other workload.
    control = key[0] != main and (all(run["control"] for run in runs) if runs else main is not None)
    gil = [run["gil_enabled"] for run in runs if run["gil_enabled"] is not None]
    return ReportCell(
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
        rounds=tuple(int(run["repeat"] or 0) for run in usable),
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
        quality=quality if quality in QUALITIES else "unavailable",
        n=int(row["n"]) if row["n"] is not None else 0,
        reason=str(row["reason"] or ""),
        capture=str(row["capture"] or UNTRACED),
    )


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def places_of(tables: Tables, run_id: str) -> dict[Place, Numbers]:
    """The numbers of every place of the run: the run first, then its processes, then its threads."""
    rows = tables.metrics[tables.metrics["run_id"] == run_id]
    found: dict[Place, Numbers] = {}
    for scope in ("run", "process", "thread"):
        for row in records(rows[rows["scope"] == scope]):
            place = (_whole(row["pid"]), _whole(row["tid"]))
            number = number_of(row)
            of_place = found.setdefault(place, {})
            before = of_place.get(number.metric)
            if before is None or trust(number) < trust(before):
                of_place[number.metric] = number
    return found


def number_at(numbers: Numbers, metric: str) -> Number:
    """That number, or an unavailable one."""
    return numbers.get(metric) or Number(metric=metric, reason="not recorded")


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
