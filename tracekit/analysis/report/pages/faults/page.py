"""The page of a workload that fails on purpose: the outcome of every fault for every kind of worker, as a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.faults import matrix_figure
from tracekit.analysis.report.pages.faults.cases import OUTCOMES, FaultCase, FaultMatrix, find_matrices
from tracekit.analysis.report.pages.subject import figure_group
from tracekit.analysis.report.views import (
    FigureGroup,
    LegendItem,
    PageView,
    RowGroup,
    Section,
    TableField,
    TableRow,
    TableView,
    Verdict,
)
from tracekit.core.units import format_ns, plural

CAVEATS = (
    "For what may happen another time: each case is one program that fails once. Where two things race, such as a "
    "result and the end of its pool, the outcome may differ; repeat with --runs 5 for medians.",
    "As a property of threads and processes: the outcomes are those of this Python's pools.",
    "For how long a program would have waited or hung: a program that notices by a time limit has chosen it "
    "itself, and a program that hangs was killed.",
)


def build_page(analysis: Analysis) -> PageView | None:
    """None for a suite without cases."""
    tables = analysis.tables
    found = groups(tables)
    matrices = find_matrices(found)
    if not matrices:
        return None
    labels = [group.label for group in found if group.cells or group.traced]
    several = len(matrices) > 1
    return PageView(
        verdicts=tuple(
            replace(verdict(matrix.cases), label=matrix.label if several else labels[0]) for matrix in matrices
        ),
        summary=matrix_table(matrices),
        figures=matrix_figures(matrices, str(tables.suite.get("workload") or "")),
        sections=sections(matrices),
        caveats=CAVEATS,
    )


def matrix_figures(found: Sequence[FaultMatrix], what: str) -> tuple[FigureGroup, ...]:
    """A figure per matrix; `what` names the suite."""
    several = len(found) > 1
    return tuple(
        figure_group(matrix.label, [matrix_figure.figure(matrix.cases, what)], f"-{index}" if several else "")
        for index, matrix in enumerate(found, start=1)
    )


def matrix_table(found: Sequence[FaultMatrix]) -> TableView:
    """A row per kind of worker, a column per fault, the outcome as a word; a block per matrix."""
    faults = list(dict.fromkeys(case.fault for matrix in found for case in matrix.cases))
    return TableView(
        title="Outcome of each fault",
        caption="Two workers, seven tasks; one task fails in the given way while another one runs. Each case is a "
        "program of its own that really fails.",
        columns=(("Workers", ""), *((fault, "") for fault in faults)),
        groups=tuple(RowGroup(label=matrix.label, rows=tuple(_rows(matrix.cases, faults))) for matrix in found),
        legend=tuple(LegendItem(mark=outcome, text=text) for outcome, text in OUTCOMES.items()),
    )


def _rows(cases: Sequence[FaultCase], faults: Sequence[str]) -> Iterator[TableRow]:
    for workers in dict.fromkeys(case.workers for case in cases):
        of_workers = {case.fault: case for case in cases if case.workers == workers}
        first = next(iter(of_workers.values()))
        yield TableRow(
            family=first.family,
            label=first.pool,
            detail=first.start_method or {"serial": "one thread"}.get(first.pool, "threads"),
            fields=tuple(
                TableField(main=of_workers[fault].outcome if fault in of_workers else "–") for fault in faults
            ),
        )


def sections(found: Sequence[FaultMatrix]) -> tuple[Section, ...]:
    """A section per matrix: its sentences and its numbers."""
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


def details_table(cases: Sequence[FaultCase]) -> TableView:
    """A block per kind of worker with a row per fault."""
    return TableView(
        title="Case by case",
        caption="Lost: computed results that never arrived, and tasks that were never done, of the six others.",
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


def _row(case: FaultCase) -> TableRow:
    observed = case.observed
    program = "hangs" if observed["parent_hangs"] else "survives" if observed["parent_lives"] else "dies"
    return TableRow(
        family=case.family,
        label=case.fault,
        detail=case.outcome,
        fields=(
            TableField(main=program),
            TableField(main="survives" if observed["sibling_lives"] else "dies"),
            TableField(main=f"{int(observed['finished_lost'])}, {int(observed['pending_lost'])}"),
            TableField(
                main=format_ns(observed["noticed_ns"]) if "noticed_ns" in observed else "never",
                sub="its time limit" if observed["noticed_by_limit"] else "",
            ),
            TableField(main=str(int(observed["left_behind"])) if "left_behind" in observed else "–"),
        ),
    )


def verdict(cases: Sequence[FaultCase]) -> Verdict:
    """How often a fault ended the whole program, in one sentence."""
    parts, shares = [], []
    for family, what in (("threads", "a fault in a thread"), ("processes", "a fault in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            ended = sum(case.outcome in ("dies", "hangs") for case in of_family)
            parts.append(f"{what} was the end of the whole program in {ended} of {plural(len(of_family), 'case')}")
            shares.append(ended / len(of_family))
    if not parts:
        return Verdict(label="", outcome="level", lead=f"{plural(len(cases), 'fault')} without workers", rest=".")
    milder = "processes" if len(shares) == 2 and shares[1] < shares[0] else "level"
    rest = "".join(f", {text}" for text in parts[1:])
    return Verdict(label="", outcome=milder, lead=parts[0][:1].upper() + parts[0][1:], rest=f"{rest}.")


def sentences(cases: Sequence[FaultCase]) -> tuple[str, ...]:
    """The number of faults by outcome: a sentence for threads, one for worker processes."""
    found = []
    for family, what in (("threads", "in a thread"), ("processes", "in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            dead = sum(case.outcome == "dies" for case in of_family)
            hung = sum(case.outcome == "hangs" for case in of_family)
            others = sum(case.outcome == "others" for case in of_family)
            silent = sum(case.outcome == "silent" for case in of_family)
            found.append(
                f"Of {plural(len(of_family), 'fault')} {what}, {dead} ended the whole program, {hung} left it hanging, "
                f"{others} cost results or tasks of others, and {silent} were noticed by a time limit only; the other "
                f"{len(of_family) - dead - hung - others - silent} cost only the failing task."
            )
    return tuple(found)
