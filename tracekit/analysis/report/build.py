"""From tables to what a person reads. Pure: nothing is measured, written or remembered here."""

from __future__ import annotations

import shlex
from dataclasses import replace

from tracekit import __version__
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report import diagnostics as doubts
from tracekit.analysis.report import environment, every, methods
from tracekit.analysis.report.cells import Group
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.claims import page as claims
from tracekit.analysis.report.pages.comparison import speedup_figure as speedup
from tracekit.analysis.report.pages.comparison import summary
from tracekit.analysis.report.pages.comparison import switches_figure as switches
from tracekit.analysis.report.pages.comparison import thread_time_figure as thread_time
from tracekit.analysis.report.pages.comparison import walls_figure as walls
from tracekit.analysis.report.pages.comparison import worker_start_figure as spawn
from tracekit.analysis.report.pages.comparison.verdict import verdict
from tracekit.analysis.report.pages.faults import matrix_figure as fault_matrix
from tracekit.analysis.report.pages.faults import page as faults
from tracekit.analysis.report.pages.footprint import memory_figure as held
from tracekit.analysis.report.pages.footprint import page as holding
from tracekit.analysis.report.pages.ipc import page as ipc
from tracekit.analysis.report.pages.ipc import round_trip_figure as round_trips
from tracekit.analysis.report.pages.program import time_figures as lives
from tracekit.analysis.report.pages.program.recorded_program import Program, headline, processes_table, program_of
from tracekit.analysis.report.pages.starts import imports
from tracekit.analysis.report.pages.starts import page as starts
from tracekit.analysis.report.pages.starts import stages_figure as stages
from tracekit.analysis.report.sections import run_waits as sections
from tracekit.analysis.report.views import FigureGroup, FigureView, MissingFigure, ReportView, Verdict
from tracekit.analysis.report.wording import plural
from tracekit.analysis.tables import Tables, check
from tracekit.bundle.spec import CLAIMS


def build(tables: Tables) -> ReportView:
    """The whole report of one suite. Raises MeasurementError when a table is not as `tables.COLUMNS` has it."""
    for name in ("runs", "metrics", "notices"):
        check(name, tables.table(name))
    recorded = program_of(tables)
    if recorded is not None:
        return _of_program(tables, recorded)
    view = _of_models(tables)
    if _text(tables, "workload") == CLAIMS:
        return _of_claims(view, tables, groups(tables))
    found = faults.matrices(groups(tables))
    if found:
        return _of_faults(view, tables, found)
    of_talks = ipc.talks(groups(tables))
    if of_talks:
        return _of_talks(view, tables, of_talks)
    of_holding = holding.held(groups(tables))
    if of_holding:
        return _of_holding(view, tables, of_holding)
    of_starts = starts.started(groups(tables))
    return _of_starts(view, tables, of_starts) if of_starts else view


def _of_claims(view: ReportView, tables: Tables, found: tuple[Group, ...]) -> ReportView:
    """The report of the experiments that put claims to the test: they compare nothing with one another."""
    own = tuple(group for group in found if group.cells)
    return replace(
        view,
        verdicts=tuple(
            _with_status(replace(claims.verdict(claims.findings(group, own)), label=group.label), tables)
            for group in own
        ),
        summary=claims.claims_table(own),
        by_workers=(),
        captures=None,
        figures=_matrices(faults.matrices(found), "crash"),
        sections=(),
        doubts=claims.DOUBTS,
        methods=(),
    )


def _of_faults(view: ReportView, tables: Tables, found: tuple[faults.Matrix, ...]) -> ReportView:
    """The report of a workload that fails on purpose: the matrix instead of what is about comparing models, which here
    only start programs and wait for them."""
    only = view.verdicts[0].label
    return replace(
        view,
        verdicts=tuple(
            _with_status(replace(faults.verdict(matrix.cases), label=matrix.label if len(found) > 1 else only), tables)
            for matrix in found
        ),
        summary=faults.matrix_table(found),
        by_workers=(),
        captures=None,
        figures=_matrices(found, view.title),
        sections=faults.sections(found),
        doubts=faults.DOUBTS,
        methods=(),
    )


def _of_starts(view: ReportView, tables: Tables, found: tuple[Group, ...]) -> ReportView:
    """The report of a workload that does nothing but start workers: what one costs, instead of speed-ups."""
    drawn = [figure for group in found if (figure := stages.figure(group)) is not None]
    of_imports = imports.section(tables, {group.python: group.label for group in found})
    further = [*([of_imports] if of_imports else []), *(item for item in view.sections if item.slug == "sure")]
    return replace(
        view,
        verdicts=tuple(
            _with_status(starts.verdict(group, imports.imported(tables, group.python)), tables) for group in found
        ),
        summary=starts.summary_table(found),
        by_workers=(),
        captures=None,
        figures=(FigureGroup(label="", figures=_numbered(drawn), missing=()),),
        sections=(starts.section(found), *further),
        doubts=(*starts.DOUBTS, *view.doubts),
    )


def _of_talks(view: ReportView, tables: Tables, found: tuple[ipc.Talk, ...]) -> ReportView:
    """The report of a workload that does nothing but talk: what that costs, instead of speed-ups."""
    drawn = [round_trips.figure(talk) for talk in found]
    return replace(
        view,
        verdicts=tuple(_with_status(ipc.verdict(talk), tables) for talk in found),
        summary=ipc.summary_table(found),
        by_workers=(),
        captures=None,
        figures=(FigureGroup(label="", figures=_numbered(drawn), missing=()),),
        sections=(ipc.section(found),),
        doubts=(*ipc.DOUBTS, *view.doubts),
    )


def _of_holding(view: ReportView, tables: Tables, found: tuple[holding.Held, ...]) -> ReportView:
    """The report of a workload that does nothing but have workers: what they hold, instead of speed-ups."""
    drawn = [held.figure(seen) for seen in found]
    return replace(
        view,
        verdicts=tuple(_with_status(holding.verdict(seen), tables) for seen in found),
        summary=holding.summary_table(found),
        by_workers=(),
        captures=None,
        figures=(FigureGroup(label="", figures=_numbered(drawn), missing=()),),
        sections=(holding.section(found),),
        doubts=(*holding.DOUBTS, *view.doubts),
    )


def _numbered(figures: list[FigureView]) -> tuple[FigureView, ...]:
    """The same, each with a file of its own."""
    if len(figures) == 1:
        return tuple(figures)
    return tuple(replace(figure, slug=f"{figure.slug}-{number}") for number, figure in enumerate(figures, start=1))


def _matrices(found: tuple[faults.Matrix, ...], what: str) -> tuple[FigureGroup, ...]:
    several = len(found) > 1
    return tuple(
        _block(matrix.label, [fault_matrix.figure(matrix.cases, what)], f"-{index}" if several else "")
        for index, matrix in enumerate(found, start=1)
    )


def _of_models(tables: Tables) -> ReportView:
    found = groups(tables)
    own = tuple(group for group in found if group.cells or group.traced)
    workload = _text(tables, "workload") or next((cell.workload for group in own for cell in group.cells), "suite")
    environments = environment.environments(tables.suite)
    cells = every.every_cell(found)
    return ReportView(
        title=workload,
        subtitle=_subtitle(tables, own),
        verdicts=tuple(
            _with_status(verdict(group, workload, _cpus(environments, group)), tables) for group in own or (_nothing(),)
        ),
        summary=summary.summary_table(own, workload),
        by_workers=summary.tables_by_workers(own),
        captures=summary.captures_table(own),
        figures=_figures(own, workload),
        sections=sections.of_suite(tables, Analysis(tables), own, workload),
        notices=doubts.notices(tables),
        methods=methods.methods(found),
        doubts=doubts.doubts(own),
        environment=environment.fact_groups(tables.suite),
        command=_command(tables),
        every=cells,
        every_count=sum(len(cell.rows) for cell in cells),
        suite_id=_text(tables, "suite_id"),
        version=__version__,
    )


def _of_program(tables: Tables, recorded: Program) -> ReportView:
    found = groups(tables)
    cells = every.every_cell(found)
    what = f"{recorded.name}, {environment.began(tables.suite) or 'one run'}"
    return ReportView(
        title=recorded.name,
        subtitle=_subtitle(tables, found),
        verdicts=(headline(recorded),),
        summary=processes_table(recorded),
        by_workers=(),
        captures=None,
        figures=(lives.figures(recorded),),
        sections=tuple(sections.of_program(tables, Analysis(tables), recorded, found, what)),
        notices=doubts.notices(tables),
        methods=methods.methods(found, methods.OF_PROGRAMS),
        doubts=doubts.of_program(recorded),
        environment=environment.fact_groups(tables.suite),
        command=_command(tables),
        every=cells,
        every_count=sum(len(cell.rows) for cell in cells),
        suite_id=_text(tables, "suite_id"),
        version=__version__,
    )


def _with_status(found: Verdict, tables: Tables) -> Verdict:
    """The verdict of a suite that somebody ended says so: what is missing was planned, not left out."""
    if tables.suite.get("status") != "interrupted":
        return found
    planned = tables.suite.get("planned_runs")
    made = int((tables.runs["suite_id"] == tables.suite.get("suite_id")).sum())
    count = f" after {made} of {planned} runs" if planned else ""
    return replace(found, rest=f"{found.rest} The suite was interrupted{count}.")


def _figures(own: tuple[Group, ...], workload: str) -> tuple[FigureGroup, ...]:
    """The figures of each group; the cost of starting a worker is one figure for all of them."""
    several = len(own) > 1
    blocks = []
    for index, group in enumerate(own, start=1):
        made = [module.figure(group, workload) for module in (speedup, thread_time, switches, walls)]
        if not several:
            made.insert(2, spawn.figure(own, workload))
        blocks.append(_block(group.label if several else "", made, f"-{index}" if several else ""))
    if several:
        blocks.append(_block("All of them", [spawn.figure(own, workload)], ""))
    return tuple(blocks)


def _block(label: str, made: list[FigureView | MissingFigure], suffix: str) -> FigureGroup:
    return FigureGroup(
        label=label,
        figures=tuple(replace(item, slug=item.slug + suffix) for item in made if isinstance(item, FigureView)),
        missing=tuple(item for item in made if isinstance(item, MissingFigure)),
    )


def _subtitle(tables: Tables, own: tuple[Group, ...]) -> str:
    size, parameters = _text(tables, "size"), _text(tables, "parameters")
    labels = [group.label for group in own]
    where = labels[0] if len(labels) == 1 else plural(len(labels), "interpreter") if labels else ""
    cpus = {environment.cpus(item) for item in environment.environments(tables.suite)} - {None}
    machine = plural(count, "CPU") if len(cpus) == 1 and (count := next(iter(cpus))) else ""
    return " · ".join(
        part
        for part in (f"{size} size" if size else "", parameters, where, machine, environment.began(tables.suite))
        if part
    )


def _cpus(environments: tuple[dict[str, object], ...], group: Group) -> int | None:
    """The CPUs of the environment that the group was run in."""
    for item in environments:
        if item.get("python_label") in (None, group.python) and item.get("os") in (None, group.os):
            return environment.cpus(item)
    return environment.cpus(environments[0]) if len(environments) == 1 else None


def _command(tables: Tables) -> str:
    words = tables.suite.get("command") or ()
    return words if isinstance(words, str) else shlex.join(str(word) for word in words)


def _nothing() -> Group:
    return Group(os="", python="", cells=(), controls=(), traced=())


def _text(tables: Tables, key: str) -> str:
    value = tables.suite.get(key)
    return "" if value is None else str(value)
