"""The metrics table as the report reads it: groups of cells, each cell with its numbers.

A cell is one workload, model, worker count, start method and capture; its numbers are the metrics rows of scope
`cell`. A group holds the cells of one operating system and interpreter. A number that is absent is an `unavailable`
Number with a reason, so nothing downstream meets a NaN.

Timings are those of untraced runs. Where the time went is known better from the runs of a light capture, which are
cells of their own: an untraced cell knows them as its `twins`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tracekit.metrics.cells import PROGRAM, UNTRACED, is_light
from tracekit.metrics.methods import rank
from tracekit.tables import CELL, Tables

FAMILIES = ("serial", "threads", "processes", "interpreters", "asyncio", "dask")
"""Reading order of the model families, which also share a colour; any other follows by name."""

_START_METHODS = ("", "fork", "forkserver", "spawn")
_SINGULAR = {"processes": "process", "threads": "thread", "interpreters": "interpreter"}
_BEST_FIRST = ("measured", "estimated", "bound", "unavailable")

_SINGLE = "gil_wait_ns"
"""What is worth telling of a single run: how another method than the best one sees it."""

CellKey = tuple[str, str, str, int, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number of a cell: a value, or only a range (`quality` bound), or a reason why there is none."""

    metric: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str = ""
    method: str = ""
    quality: str = "unavailable"
    n: int = 0
    reason: str = ""
    capture: str = UNTRACED
    """What watched the runs that it is from."""

    @property
    def available(self) -> bool:
        return self.quality != "unavailable" and self.centre is not None

    @property
    def centre(self) -> float | None:
        """The value, or the middle of the range when only a range is known."""
        if self.value is None and self.lower is not None and self.upper is not None:
            return (self.lower + self.upper) / 2
        return self.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """lower and upper, or None when either is missing (fewer repeats than bootstrap.LEAST)."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One way of running the work, with everything that is known about it.

    `walls_ns`: the wall of every usable repeat. `runs`: how many repeats were made, usable or not.
    `every`: its numbers in the order of the metrics table. `twins`: of an untraced cell, the same under each light
    capture; `of_runs`: what single runs of the other captures say, which give no cell.
    """

    workload: str
    size: str
    model: str
    workers: int
    start_method: str
    capture: str
    os: str
    python: str
    control: bool
    kind: str
    gil_enabled: bool | None
    runs: int
    walls_ns: tuple[int, ...]
    every: tuple[Number, ...]
    twins: tuple[Cell, ...] = ()
    of_runs: tuple[Number, ...] = ()

    @property
    def family(self) -> str:
        """The kind of model: fork, forkserver and spawn are three ways to start `processes`."""
        return "processes" if self.model in _START_METHODS else self.model

    @property
    def variant(self) -> str:
        """The model as a reader says it: `threads`, `processes (fork)`."""
        return f"{self.family} ({self.start_method})" if self.start_method else self.family

    @property
    def row_label(self) -> str:
        """The variant in two short lines, for figures, which are narrow."""
        return self.variant.replace(" (", "\n(")

    @property
    def heading(self) -> str:
        """What its row in a table is called: the variant, or the program's own name."""
        return self.workload if self.model == PROGRAM else self.variant

    @property
    def detail(self) -> str:
        """What stands beneath that: `2 workers`, `one thread`, of a program `one run`."""
        if self.model == PROGRAM:
            return "one run"
        return "one thread" if self.family == "serial" else f"{self.workers} worker{'s' if self.workers != 1 else ''}"

    @property
    def counted(self) -> str:
        """The variant with its worker count: `2 processes (fork)`, `1 thread`, `serial`."""
        if self.family in ("serial", PROGRAM):
            return self.family
        if self.family not in _SINGULAR:
            return f"{self.variant} with {self.workers} worker{'s' if self.workers != 1 else ''}"
        if self.workers == 1:
            return f"1 {self.variant.replace(self.family, _SINGULAR[self.family], 1)}"
        return f"{self.workers} {self.variant}"

    def number(self, metric: str) -> Number:
        """The number of that name, by the best method when several gave it."""
        found = [item for item in self.every if item.metric == metric]
        if found:
            return min(found, key=trust)
        if not self.walls_ns:
            return Number(metric=metric, reason=f"none of its {self.runs} runs is usable")
        return Number(metric=metric, reason="not part of this suite")

    def told(self, metric: str) -> Number:
        """The same, from the cell itself or from a twin, whichever has the better method."""
        return min((cell.number(metric) for cell in (self, *self.twins)), key=trust)

    def ways(self, metric: str) -> tuple[Number, ...]:
        """Every method that gave the number, of the cell, its twins and other runs, the best first; each once."""
        cells = [item for cell in (self, *self.twins) for item in cell.every]
        found = [item for item in (*cells, *self.of_runs) if item.metric == metric]
        by_method: dict[str, Number] = {}
        for item in sorted(found, key=trust):
            if item.available:
                by_method.setdefault(item.method, item)
        return tuple(by_method.values())

    @property
    def order(self) -> tuple[int, str, int, str, int]:
        """Sorts cells as a reader looks for them: serial, threads, processes by start method; then by workers."""
        family = FAMILIES.index(self.family) if self.family in FAMILIES else len(FAMILIES)
        known = self.start_method in _START_METHODS
        start = _START_METHODS.index(self.start_method) if known else len(_START_METHODS)
        return (family, self.model if family == len(FAMILIES) else "", start, self.start_method, self.workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What may be compared: the cells of one workload under one operating system and one interpreter."""

    os: str
    python: str
    cells: tuple[Cell, ...]
    controls: tuple[Cell, ...]
    traced: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """`Linux · Python 3.13`, as headings name it."""
        python = f"Python {self.python}" if self.python[:1].isdigit() else self.python
        return " · ".join(part for part in (self.os, python) if part)

    @property
    def serial(self) -> Cell | None:
        return next((cell for cell in self.cells if cell.model == "serial"), None)

    @property
    def worker_counts(self) -> tuple[int, ...]:
        return tuple(sorted({cell.workers for cell in self.cells if cell.model != "serial"}))

    def at_most_workers(self) -> tuple[Cell, ...]:
        """Serial, then every variant at the largest worker count it was run with."""
        largest: dict[str, Cell] = {}
        for cell in self.cells:
            if cell.variant not in largest or cell.workers > largest[cell.variant].workers:
                largest[cell.variant] = cell
        return tuple(sorted(largest.values(), key=lambda cell: cell.order))

    def with_workers(self, workers: int) -> tuple[Cell, ...]:
        """Serial, then every variant that was run with exactly that many workers."""
        return tuple(cell for cell in self.cells if cell.model == "serial" or cell.workers == workers)


def groups(tables: Tables) -> tuple[Group, ...]:
    """The suite's groups, in the order they were first run."""
    cells = _cells(tables)
    names = list(dict.fromkeys((cell.os, cell.python) for cell in cells))
    return tuple(_group(name, [cell for cell in cells if (cell.os, cell.python) == name]) for name in names)


def trust(number: Number) -> tuple[bool, int, int]:
    """Sorts numbers of one name: the better method first, what is not known last."""
    return (not number.available, rank(number.method), _BEST_FIRST.index(number.quality))


def left_out(cells: Iterable[Cell], metric: str) -> str:
    """A sentence that names the cells without that number and says why, for the caption of a figure; or nothing."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        number = cell.number(metric)
        if not number.available:
            reasons.setdefault(number.reason or "not recorded", []).append(cell.variant)
    return "".join(f" Not shown: {', '.join(names)} ({reason})." for reason, names in reasons.items())


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
    usable = [run for run in warm if run["wall_ns"] is not None and (run["status"] == "ok" or key[2] == PROGRAM)]
    # A control that is itself what was asked for is reported like any other workload.
    control = key[0] != main and (all(run["control"] for run in runs) if runs else main is not None)
    gil = [run["gil_enabled"] for run in runs if run["gil_enabled"] is not None]
    return Cell(
        workload=key[0],
        size=key[1],
        model=key[2],
        workers=key[3],
        # A bundle may leave the start method to its model's name.
        start_method=key[4] or (key[2] if key[2] in _START_METHODS else ""),
        capture=key[5],
        os=key[6],
        python=key[7],
        control=bool(control),
        kind=next((str(run["kind"]) for run in runs if run["kind"]), ""),
        gil_enabled=bool(gil[0]) if gil else None,
        runs=len(warm),
        walls_ns=tuple(int(run["wall_ns"]) for run in usable),
        every=tuple(numbers),
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts in which whatever pandas calls missing is None."""
    plain = frame.astype(object)
    return plain.where(plain.notna(), None).to_dict("records")  # type: ignore[return-value]


def _key(row: Mapping[str, Any]) -> CellKey:
    texts = {name: str(row[name]) if row[name] is not None else "" for name in CELL}
    workers = int(row["workers"]) if row["workers"] is not None else 1
    return (
        texts["workload"],
        texts["size"],
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
        quality=quality if quality in _BEST_FIRST else "unavailable",
        n=int(row["n"]) if row["n"] is not None else 0,
        reason=str(row["reason"] or ""),
        capture=str(row["capture"] or UNTRACED),
    )


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
