"""The fault matrix of the workload `crash`: what becomes of a program and its workers when one of them fails."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracekit.analysis.metrics.cells.observed import PREFIX
from tracekit.analysis.report.cells import Cell, Group
from tracekit.analysis.report.views import Field, LegendItem, Row, RowGroup, Section, TableView, Verdict
from tracekit.analysis.report.wording import plural
from tracekit.core.units import format_ns

_NAME = re.compile(
    rf"{re.escape(PREFIX)}(?P<pool>\w+)(-(?P<method>\w+))?\.(?P<fault>[a-z-]+)\.(?P<what>[a-z_]+)", re.ASCII
)

OUTCOMES = {
    "own": "only the task that failed is lost; the program and the other worker go on",
    "silent": "only the task that failed is lost, but nothing says so: the program knows by a time limit of its own, "
    "after 1 s in which nothing happened",
    "others": "the program lives, but results or tasks of others are lost, or their worker is",
    "hangs": "the program does not end, nothing happened in it for 2 s, and it was killed",
    "dies": "the whole program is gone, and everything that it had not written down",
}
"""What may become of it, from the mildest to the worst, and what that means."""


DOUBTS = (
    "Each case is one program that fails once. Where two things race, a result on its way and the end of a pool, say, "
    "another time it may come out otherwise: repeat with --runs 5 for medians.",
    "What becomes of the others is a property of this version of Python's pools, not of threads and processes as such.",
    "A time until it is noticed that comes from a time limit is that limit, which the program has chosen itself; that "
    "it would have waited longer without one, and that what hangs would have hung on, was not measured.",
)
"""What to keep in mind about the matrix."""

_NEEDED = ("parent_lives", "parent_hangs", "sibling_lives", "finished_lost", "pending_lost", "noticed_by_limit")
"""Without one of these a case has no outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of worker and one way to fail, with what was seen at the median of the repeats.

    `seen` has all of `_NEEDED`; `noticed_ns` and `left_behind` may be missing.
    """

    pool: str
    method: str
    fault: str
    seen: Mapping[str, float]

    @property
    def workers(self) -> str:
        """`Pool (fork)`."""
        return f"{self.pool} ({self.method})" if self.method else self.pool

    @property
    def family(self) -> str:
        if self.pool == "serial":
            return "serial"
        return "processes" if self.method else "threads"

    @property
    def outcome(self) -> str:
        """One of OUTCOMES."""
        if self.seen["parent_hangs"]:
            return "hangs"
        if not self.seen["parent_lives"]:
            return "dies"
        if self.seen["finished_lost"] or self.seen["pending_lost"] or not self.seen["sibling_lives"]:
            return "others"
        return "silent" if self.seen["noticed_by_limit"] else "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The cases of one cell; `label` says which, where there are several."""

    label: str
    cases: tuple[Case, ...]


def matrices(found: Sequence[Group]) -> tuple[Matrix, ...]:
    """One for each untraced cell that has cases; none for other workloads than `crash`."""
    cells = [(group, cell, cases) for group in found for cell in group.cells if (cases := cases_of(cell))]
    several = len({group.label for group, _, _ in cells}) > 1
    return tuple(
        Matrix(
            label=" · ".join(
                part
                for part in (
                    group.label if several else "",
                    f"started by {cell.counted}" if sum(other is group for other, _, _ in cells) > 1 else "",
                )
                if part
            ),
            cases=cases,
        )
        for group, cell, cases in cells
    )


def cases_of(cell: Cell) -> tuple[Case, ...]:
    """What the cell has seen of each case, where that is enough for an outcome."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for number in cell.every:
        match = _NAME.fullmatch(number.metric)
        if match and number.value is not None:
            place = (match["pool"], match["method"] or "", match["fault"])
            # The median of an even number of repeats may lie between two: then the worse of them.
            worse = math.floor if match["what"].endswith("_lives") else math.ceil
            found.setdefault(place, {})[match["what"]] = worse(number.value)
    return tuple(
        Case(pool=pool, method=method, fault=fault, seen=seen)
        for (pool, method, fault), seen in found.items()
        if seen.keys() >= set(_NEEDED)
    )


def matrix_table(found: Sequence[Matrix]) -> TableView:
    """A row per kind of worker, a column per fault, a word for what became of it; a block per matrix."""
    faults = list(dict.fromkeys(case.fault for matrix in found for case in matrix.cases))
    return TableView(
        title="What a fault costs",
        caption="Two workers, seven tasks; one task fails in the given way while another one runs. Each case is a "
        "program of its own that really fails.",
        columns=(("Workers", ""), *((fault, "") for fault in faults)),
        groups=tuple(RowGroup(label=matrix.label, rows=tuple(_rows(matrix.cases, faults))) for matrix in found),
        legend=tuple(LegendItem(mark=outcome, text=text) for outcome, text in OUTCOMES.items()),
    )


def _rows(cases: Sequence[Case], faults: Sequence[str]) -> Iterator[Row]:
    for workers in dict.fromkeys(case.workers for case in cases):
        of_workers = {case.fault: case for case in cases if case.workers == workers}
        first = next(iter(of_workers.values()))
        yield Row(
            family=first.family,
            label=first.pool,
            detail=first.method or {"serial": "one thread"}.get(first.pool, "threads"),
            fields=tuple(Field(main=of_workers[fault].outcome if fault in of_workers else "–") for fault in faults),
        )


def sections(found: Sequence[Matrix]) -> tuple[Section, ...]:
    """What each matrix says in short, and its numbers."""
    return tuple(
        Section(
            slug="faults" if len(found) == 1 else f"faults-{number}",
            title=" · ".join(part for part in ("Case by case", matrix.label) if part),
            sentences=sentences(matrix.cases),
            lead=2,
            tables=(details_table(matrix.cases),),
        )
        for number, matrix in enumerate(found, start=1)
    )


def details_table(cases: Sequence[Case]) -> TableView:
    """A block per kind of worker with a row per fault."""
    return TableView(
        title="Case by case",
        caption="Lost: results that were computed and never came, and tasks that were never done, of the six others.",
        columns=(
            ("Fault", ""),
            ("Program", ""),
            ("Other worker", ""),
            ("Lost", "results, tasks"),
            ("Noticed after", ""),
            ("Left behind", ""),
        ),
        groups=tuple(
            RowGroup(label=workers, rows=tuple(_row(case) for case in cases if case.workers == workers))
            for workers in dict.fromkeys(case.workers for case in cases)
        ),
        legend=(),
    )


def _row(case: Case) -> Row:
    seen = case.seen
    program = "hangs" if seen["parent_hangs"] else "lives" if seen["parent_lives"] else "dies"
    return Row(
        family=case.family,
        label=case.fault,
        detail=case.outcome,
        fields=(
            Field(main=program),
            Field(main="lives" if seen["sibling_lives"] else "dies"),
            Field(main=f"{int(seen['finished_lost'])}, {int(seen['pending_lost'])}"),
            Field(
                main=format_ns(seen["noticed_ns"]) if "noticed_ns" in seen else "never",
                sub="its time limit" if seen["noticed_by_limit"] else "",
            ),
            Field(main=str(int(seen["left_behind"])) if "left_behind" in seen else "–"),
        ),
    )


def verdict(cases: Sequence[Case]) -> Verdict:
    """The answer of the matrix in one sentence."""
    said, shares = [], []
    for family, what in (("threads", "a fault in a thread"), ("processes", "a fault in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            ended = sum(case.outcome in ("dies", "hangs") for case in of_family)
            said.append(f"{what} was the end of the whole program in {ended} of {plural(len(of_family), 'case')}")
            shares.append(ended / len(of_family))
    if not said:
        return Verdict(label="", outcome="level", lead=f"{plural(len(cases), 'fault')} without workers", rest=".")
    milder = "processes" if len(shares) == 2 and shares[1] < shares[0] else "level"
    rest = "".join(f", {text}" for text in said[1:])
    return Verdict(label="", outcome=milder, lead=said[0][:1].upper() + said[0][1:], rest=f"{rest}.")


def sentences(cases: Sequence[Case]) -> tuple[str, ...]:
    """What the matrix says in short: how often a fault of one worker was the end of the program."""
    said = []
    for family, what in (("threads", "in a thread"), ("processes", "in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            dead = sum(case.outcome == "dies" for case in of_family)
            hung = sum(case.outcome == "hangs" for case in of_family)
            others = sum(case.outcome == "others" for case in of_family)
            silent = sum(case.outcome == "silent" for case in of_family)
            said.append(
                f"Of {plural(len(of_family), 'fault')} {what}, {dead} ended the whole program, {hung} left it hanging, "
                f"{others} cost results or tasks of others, and {silent} showed by a time limit only; the other "
                f"{len(of_family) - dead - hung - others - silent} cost only the task that failed."
            )
    return tuple(said)
