"""The metrics table as the report reads it: groups of cells, each cell with its numbers.

A cell is one workload, model, worker count, start method and capture; its numbers are the metrics rows of scope
`cell`. A group holds the cells of one operating system and interpreter. A number that is absent is an `unavailable`
Number with a reason, so nothing downstream meets a NaN. `grouping.py` makes them from the tables.

Timings are those of untraced runs. Where the time went is known better from the runs of a light capture, which are
cells of their own: an untraced cell has them as its `twins`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracekit.analysis.metrics.methods import order_by_trust
from tracekit.bundle.names import PROGRAM, RAW, UNTRACED
from tracekit.bundle.stream_records import DIMENSIONS

FAMILIES = ("serial", "threads", "processes", "interpreters", "asyncio", "dask")
"""Reading order of the model families, which share a colour each; other families follow by name."""

START_METHODS = ("", "fork", "forkserver", "spawn")
_SINGULAR = {"processes": "process", "threads": "thread", "interpreters": "interpreter"}


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
    """The capture of the runs that it is from."""

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
        """lower and upper, or None when either is missing (fewer repeats than LEAST)."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNumber:
    """One observation of a cell: its dimensions, empty or None where it does not depend on them, and its number.

    `text`: of an observation that is no number the distinct texts of the runs, the most frequent first.
    """

    what: str
    number: Number
    text: str = ""
    pool: str = ""
    start_method: str = ""
    phase: str = ""
    channel: str = ""
    size: int | None = None
    case: str = ""

    @property
    def has_dimensions(self) -> bool:
        return any(getattr(self, name) not in ("", None) for name in DIMENSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCell:
    """One cell, with everything that is known about it.

    `walls_ns`: the wall of every usable repeat; `rounds`: the rounds of the suite that these were. `runs`: how many
    repeats were made, usable or not.
    `every`: its numbers in the order of the metrics table; `observed`: its observations, with their dimensions.
    `twins`: of an untraced cell, the same under each light capture; `of_runs`: numbers of single runs under the other
    captures, which give no cell.
    """

    workload: str
    size: str
    parameters: str
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
    rounds: tuple[int, ...]
    every: tuple[Number, ...]
    observed: tuple[ObservedNumber, ...] = ()
    twins: tuple[ReportCell, ...] = ()
    of_runs: tuple[Number, ...] = ()

    @property
    def family(self) -> str:
        """The kind of model: fork, forkserver and spawn are start methods of `processes`, also without executor."""
        model = self.model.removeprefix(RAW)
        return "processes" if model in START_METHODS else model

    @property
    def walls_by_round(self) -> dict[int, float]:
        """Round -> wall, ns."""
        return dict(zip(self.rounds, map(float, self.walls_ns), strict=True))

    @property
    def raw(self) -> bool:
        """Whether it uses no executor."""
        return self.model.startswith(RAW)

    @property
    def variant(self) -> str:
        """The model's name in the report: `threads`, `processes (fork)`, `raw processes (fork)`."""
        kind = f"raw {self.family}" if self.raw else self.family
        return f"{kind} ({self.start_method})" if self.start_method else kind

    @property
    def row_label(self) -> str:
        """The variant in two short lines, for figures, which are narrow."""
        return self.variant.replace(" (", "\n(")

    @property
    def heading(self) -> str:
        """The label of its row in a table: the variant, or the program's own name."""
        return self.workload if self.model == PROGRAM else self.variant

    @property
    def detail(self) -> str:
        """The text beneath that: `2 workers`, `one thread`, of a program `one run`."""
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

    def best_number(self, metric: str) -> Number:
        """The number of that name, of the cell itself or of a twin, whichever has the better method."""
        return min((cell.number(metric) for cell in (self, *self.twins)), key=trust)

    def numbers_by_method(self, metric: str) -> tuple[Number, ...]:
        """The number by each method, of the cell, its twins and other runs, the best method first."""
        cells = [item for cell in (self, *self.twins) for item in cell.every]
        found = [item for item in (*cells, *self.of_runs) if item.metric == metric]
        by_method: dict[str, Number] = {}
        for item in sorted(found, key=trust):
            if item.available:
                by_method.setdefault(item.method, item)
        return tuple(by_method.values())

    @property
    def order(self) -> tuple[int, str, int, str, bool, int]:
        """Sorts cells: serial, threads, processes by start method; then by workers."""
        family = FAMILIES.index(self.family) if self.family in FAMILIES else len(FAMILIES)
        known = self.start_method in START_METHODS
        start = START_METHODS.index(self.start_method) if known else len(START_METHODS)
        other = self.model if family == len(FAMILIES) else ""
        return (family, other, start, self.start_method, self.raw, self.workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGroup:
    """The cells of one workload under one operating system and interpreter, which may be compared."""

    os: str
    python: str
    cells: tuple[ReportCell, ...]
    controls: tuple[ReportCell, ...]
    traced: tuple[ReportCell, ...]

    @property
    def label(self) -> str:
        """`Linux · Python 3.13`, as headings name it."""
        python = f"Python {self.python}" if self.python[:1].isdigit() else self.python
        return " · ".join(part for part in (self.os, python) if part)

    @property
    def serial(self) -> ReportCell | None:
        return next((cell for cell in self.cells if cell.model == "serial"), None)

    @property
    def worker_counts(self) -> tuple[int, ...]:
        return tuple(sorted({cell.workers for cell in self.cells if cell.model != "serial"}))

    def at_most_workers(self) -> tuple[ReportCell, ...]:
        """Serial, then every variant at the largest worker count it was run with."""
        largest: dict[str, ReportCell] = {}
        for cell in self.cells:
            if cell.variant not in largest or cell.workers > largest[cell.variant].workers:
                largest[cell.variant] = cell
        return tuple(sorted(largest.values(), key=lambda cell: cell.order))

    def with_workers(self, workers: int) -> tuple[ReportCell, ...]:
        """Serial, then every variant that was run with exactly that many workers."""
        return tuple(cell for cell in self.cells if cell.model == "serial" or cell.workers == workers)


def trust(number: Number) -> tuple[bool, int, int]:
    """Sorts numbers of one name: the better method first, what is not known last."""
    return order_by_trust(number.method, number.quality, available=number.available)


def left_out(cells: Iterable[ReportCell], metric: str) -> str:
    """A sentence that names the cells without that number and says why, for the caption of a figure; or nothing."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        number = cell.number(metric)
        if not number.available:
            reasons.setdefault(number.reason or "not recorded", []).append(cell.variant)
    return "".join(f" Not shown: {', '.join(names)} ({reason})." for reason, names in reasons.items())
