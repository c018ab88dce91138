"""The page of `tracekit run claims`: common claims about threads and processes, judged by experiments.

Every verdict follows from numbers of the metrics table alone; docs/workloads.md describes the experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.claims.claims import (
    CAVEAT,
    HOLDS,
    NOT,
    UNKNOWN,
    Claim,
    ClaimResult,
    evaluate_claims,
)
from tracekit.analysis.report.pages.faults.cases import find_matrices
from tracekit.analysis.report.pages.faults.page import matrix_figures
from tracekit.analysis.report.views import LegendItem, PageView, RowGroup, TableField, TableRow, TableView, Verdict
from tracekit.core.units import plural

CAVEATS = (
    "For another machine, system or version of Python than those that were measured, or another time.",
    "As the last word on a claim: each is tested by one experiment, and another may find what this one cannot.",
)


def build_page(analysis: Analysis) -> PageView | None:
    """The claims, and the fault matrix that two of them are judged by; None for a suite without cells."""
    tables = analysis.tables
    found = groups(tables)
    own = tuple(group for group in found if group.cells)
    if not own:
        return None
    return PageView(
        verdicts=tuple(replace(verdict(evaluate_claims(group, own)), label=group.label) for group in own),
        summary=claims_table(own),
        figures=matrix_figures(find_matrices(found), "crash"),
        sections=(),
        caveats=CAVEATS,
    )


def verdict(found: Sequence[tuple[Claim, ClaimResult]]) -> Verdict:
    """The number of claims that hold, in one sentence."""
    counts = {word: sum(finding.verdict == word for _, finding in found) for word in (HOLDS, CAVEAT, NOT)}
    unknown = len(found) - sum(counts.values())
    parts = [
        f"{counts[CAVEAT]} with a caveat" if counts[CAVEAT] else "",
        f"{counts[NOT]} do not" if counts[NOT] else "",
        f"{unknown} not measured" if unknown else "",
    ]
    listing = ", ".join(part for part in parts if part)
    return Verdict(
        label="",
        outcome="level",
        lead=f"{counts[HOLDS] + counts[CAVEAT]} of {plural(len(found), 'claim')} about threads and processes hold here",
        rest=f": {listing}." if listing else ".",
    )


def claims_table(own: Sequence[CellGroup]) -> TableView:
    """A row per claim; a block per interpreter where there are several."""
    several = len(own) > 1
    return TableView(
        title="Claims",
        caption="Each verdict follows from numbers of this suite; those with repeats have a 95 % interval.",
        columns=(("Claim", "how it was tested"), ("Verdict", ""), ("Measured", ""), ("Caveat", "")),
        groups=tuple(
            RowGroup(
                label=group.label if several else "",
                rows=tuple(_row(claim, found) for claim, found in evaluate_claims(group, own)),
            )
            for group in own
        ),
        legend=(
            LegendItem(mark=HOLDS, text="the numbers agree with the claim, beyond their intervals"),
            LegendItem(mark=CAVEAT, text="they agree, under a condition"),
            LegendItem(mark=NOT, text="they disagree, or agree only within their intervals"),
            LegendItem(mark=UNKNOWN, text="there are no numbers to judge the claim by"),
        ),
        prose=True,
    )


def _row(claim: Claim, found: ClaimResult) -> TableRow:
    return TableRow(
        family="plain",
        label=claim.text,
        detail=claim.tested,
        fields=(
            TableField(main=found.verdict, words=True),
            TableField(main=found.measured, words=True),
            TableField(main=found.caveat if found.verdict == CAVEAT else "–", words=True),
        ),
    )
