"""The cases of the fault matrix: one kind of worker and one kind of fault each, with the outcome for the program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracekit.analysis.report.cells import CellGroup, ReportCell

OUTCOMES = {
    "own": "only the failing task is lost; the program and the other worker go on",
    "silent": "only the failing task is lost, but nothing reports it: the program notices by a time limit of its own, "
    "after 1 s in which nothing happened",
    "others": "the program survives, but results or tasks of others are lost, or the other worker is",
    "hangs": "the program does not end, nothing happened in it long after its own time limit, and it was killed",
    "dies": "the whole program ends, and everything that it had not written to a file is lost",
}
"""Outcome -> its meaning, from the mildest to the worst."""

_NEEDED = ("parent_lives", "parent_hangs", "sibling_lives", "finished_lost", "pending_lost", "noticed_by_limit")
"""Observations without which a case has no outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCase:
    """One kind of worker and one kind of fault, with its observations at the median of the repeats.

    `observed` has all of `_NEEDED`; `noticed_ns` and `left_behind` may be absent.
    """

    pool: str
    start_method: str
    fault: str
    observed: Mapping[str, float]

    @property
    def workers(self) -> str:
        """`Pool (fork)`."""
        return f"{self.pool} ({self.start_method})" if self.start_method else self.pool

    @property
    def family(self) -> str:
        if self.pool == "serial":
            return "serial"
        return "processes" if self.start_method else "threads"

    @property
    def outcome(self) -> str:
        """One of OUTCOMES."""
        if self.observed["parent_hangs"]:
            return "hangs"
        if not self.observed["parent_lives"]:
            return "dies"
        if self.observed["finished_lost"] or self.observed["pending_lost"] or not self.observed["sibling_lives"]:
            return "others"
        return "silent" if self.observed["noticed_by_limit"] else "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMatrix:
    """The cases of one cell; `label` names the cell where there are several."""

    label: str
    cases: tuple[FaultCase, ...]


def find_matrices(groups: Sequence[CellGroup]) -> tuple[FaultMatrix, ...]:
    """The matrix of each untraced cell that has cases."""
    cells = [(group, cell, cases) for group in groups for cell in group.cells if (cases := find_cases(cell))]
    several = len({group.label for group, _, _ in cells}) > 1
    return tuple(
        FaultMatrix(
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


def find_cases(cell: ReportCell) -> tuple[FaultCase, ...]:
    """The cases of a cell that have enough observations for an outcome."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for item in cell.observed:
        if item.pool and item.case and item.number.value is not None:
            # The median of an even number of repeats may lie between two: then the worse of them.
            worse = math.floor if item.what.endswith("_lives") else math.ceil
            found.setdefault((item.pool, item.start_method, item.case), {})[item.what] = worse(item.number.value)
    return tuple(
        FaultCase(pool=pool, start_method=start_method, fault=fault, observed=observed)
        for (pool, start_method, fault), observed in found.items()
        if observed.keys() >= set(_NEEDED)
    )
