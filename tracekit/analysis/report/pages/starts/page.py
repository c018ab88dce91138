"""The page of the start and the end of a worker: from the request until it is joined, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.startup.stages import CALL, LIFE, READY, RECORDING, STAGES, metric_name
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.starts import imports, stages_figure
from tracekit.analysis.report.pages.starts.imports import Imported
from tracekit.analysis.report.pages.starts.stages import (
    TITLES,
    later_start,
    staged_cell,
    stages_csv,
    started_cells,
    varying_parameters,
)
from tracekit.analysis.report.pages.subject import subject_page
from tracekit.analysis.report.sections.method_comparison import comparison_table
from tracekit.analysis.report.views import (
    Download,
    PageView,
    RowGroup,
    Section,
    TableField,
    TableRow,
    TableView,
    Verdict,
    table_section,
)
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import listed

_WORKERS = {"fork": "a forked process", "forkserver": "a process of the fork server", "spawn": "a spawned process"}

COLUMNS = (
    ("Worker", ""),
    ("Later start", "95 % interval"),
    ("Median", "n"),
    ("95th percentile", ""),
    ("First start", "95 % interval"),
    ("First instruction after", "later start"),
    ("The call returns after", "later start"),
)

_FOR_TERMINAL = 8
"""Most kinds of workers for whose columns a terminal has room."""

CAVEATS = (
    "For several starts at once, which share the CPUs: here workers are started one at a time on an otherwise idle "
    "machine.",
    "As free of probe effect: a small preloaded library records the stages, and its cost is the difference of the two "
    "totals. What tracekit records in the worker itself is left out of both.",
    "For the first start after a boot: stages that import modules (site, imports, main module, unpickling) then take "
    "much longer.",
    "As one number for forkserver: a later start finds the server running, the first one waits until it runs.",
)


def build_page(analysis: Analysis) -> PageView | None:
    """None for a suite in which no worker was followed from request to join."""
    tables = analysis.tables
    found = groups(tables)
    own = tuple(group for group in found if started_cells(group))
    if not own:
        return None
    further = (
        imports.section(tables, {group.python: group.label for group in own}),
        table_section("method-comparison", "Method comparison", comparison_table(found)),
    )
    return subject_page(
        [group for group in found if group.cells or group.traced],
        verdicts=[verdict(group, imports.imported(tables, group.python)) for group in own],
        summary=summary_table(own),
        figures=[figure for group in own if (figure := stages_figure.figure(group)) is not None],
        sections=[section(own), *(item for item in further if item is not None)],
        caveats=CAVEATS,
    )


def verdict(group: CellGroup, modules: Sequence[Imported] = ()) -> Verdict:
    """The cost of one worker of each kind, in one sentence, and the longest stages of the most expensive kind.

    `modules`: what a spawned worker imports.
    """
    cells = started_cells(group)
    plain = [cell for cell in cells if not cell.raw] or list(cells)
    # Of several sets of parameters the sentence is about the first one.
    plain = [cell for cell in plain if cell.parameters == plain[0].parameters]
    costs = [_cost_text(cell) for cell in plain]
    slowest = max(plain, key=lambda cell: later_start(cell).value or 0)
    fastest = min(plain, key=lambda cell: later_start(cell).value or 0)
    return Verdict(
        label=group.label,
        outcome=fastest.family,
        lead=f"Starting a worker, one empty task and joining it take {listed(costs)}",
        rest=f".{_longest_stages(slowest, modules)}",
    )


def _cost_text(cell: ReportCell) -> str:
    later, first = later_start(cell), cell.number(metric_name(LIFE, cold=True))
    what = f"for {_WORKERS.get(cell.start_method, 'a thread')}"
    if not later.available:
        return f"{value_text(first)} {what}, the first one"
    if first.available and (first.value or 0) > 1.5 * (later.value or 0):
        return f"{value_text(later)} {what} (the first one {value_text(first)})"
    return f"{value_text(later)} {what}"


def _longest_stages(cell: ReportCell, modules: Sequence[Imported]) -> str:
    """The two longest stages of that worker; of its main module the longest import by name."""
    of_stages = {name: staged_cell(cell).number(metric_name(name, cold=False)) for name in STAGES}
    known = sorted(
        (item for item in of_stages.items() if item[1].available and item[0] != RECORDING),
        key=lambda item: -(item[1].value or 0),
    )
    if len(known) < 2 or cell.start_method not in _WORKERS:
        return ""
    of_main = next((item.module for item in modules if item.section == "main"), "")
    named = {"main": f", mostly {of_main}"} if of_main else {}
    longest = listed([f"{TITLES[name]} ({value_text(number)}{named.get(name, '')})" for name, number in known[:2]])
    return f" The longest stages of {_WORKERS[cell.start_method]} are {longest}."


def summary_table(groups: Sequence[CellGroup]) -> TableView:
    """A row per kind of worker: the total of a later and of a first start."""
    several = len(groups) > 1
    return TableView(
        title="Cost of a worker",
        caption="From the request for one worker until it is joined, with one empty task, without a capture; mean over "
        "the middle half. First: the first start of a run, which creates what later starts reuse.",
        columns=COLUMNS,
        explained=dict.fromkeys((name for name, _ in COLUMNS[1:]), ("stages",)),
        groups=tuple(
            RowGroup(
                label=group.label if several else "",
                rows=tuple(_total(cell, which) for cell, which in varying_parameters(started_cells(group)).items()),
            )
            for group in groups
        ),
        legend=(),
    )


def _total(cell: ReportCell, which: str) -> TableRow:
    later, first = later_start(cell), cell.number(metric_name(LIFE, cold=True))
    p50, p95 = (cell.number(metric_name(LIFE, cold=False, of=of)) for of in ("p50", "p95"))
    return TableRow(
        family=cell.family,
        label=cell.variant,
        detail=", ".join(filter(None, ("without executor" if cell.raw else "an executor's", which))),
        fields=(
            _field(later),
            TableField(main=value_text(p50), sub=f"n = {p50.n}" if p50.available else ""),
            TableField(main=value_text(p95)),
            _field(first),
            TableField(main=value_text(cell.number(metric_name(READY, cold=False)))),
            TableField(main=value_text(cell.number(metric_name(CALL, cold=False)))),
        ),
    )


def section(found: Sequence[CellGroup]) -> Section:
    """The stages of every kind of worker, later and first."""
    return Section(
        slug="stages",
        title="Stage by stage",
        sentences=(
            "A stage begins where the one above it ends, and the stages sum to the total. `–`: such a start does not "
            "have the stage. `n/a`: capture `stages` was not used.",
        ),
        tables=tuple(
            _stages(cells, " · ".join(filter(None, (group.label if len(found) > 1 else "", which))), cold=cold)
            for group in found
            for which, cells in _by_parameters(group).items()
            for cold in (False, True)
        ),
        downloads=(
            Download(
                name="spawn-stages.csv",
                about="every stage with mean, interval, median, 95th percentile and n",
                content=stages_csv(found),
            ),
        ),
        in_terminal=max(len(started_cells(group)) for group in found) <= _FOR_TERMINAL,
    )


def _by_parameters(group: CellGroup) -> dict[str, list[ReportCell]]:
    """Varying parameters -> the cells with them: all side by side would be too wide for a page."""
    found: dict[str, list[ReportCell]] = {}
    for cell, which in varying_parameters(started_cells(group)).items():
        found.setdefault(which, []).append(cell)
    return found


def _stages(cells: Sequence[ReportCell], about: str, *, cold: bool) -> TableView:
    which = "First start" if cold else "Later starts"
    staged = [staged_cell(cell) for cell in cells]
    present = [name for name in STAGES if any(_has(cell, name, cold=cold) for cell in staged)]
    rows = [_stage_row(name, staged, cold=cold) for name in present if name != RECORDING]
    if staged == list(cells):
        rows.append(_total_row("request to join", "the sum of the stages", cells, cold=cold))
    else:
        rows.append(_total_row("sum of the stages", "under the stage probe", staged, cold=cold))
        rows.append(_total_row("request to join", "without the probe", cells, cold=cold))
    rows += [_stage_row(RECORDING, staged, cold=cold)] if RECORDING in present else []
    return TableView(
        title=" · ".join(filter(None, (which, about))),
        caption="Means over the starts in the middle half by their total, with 95 % intervals; under the stage probe.",
        columns=(("Stage", "ends"), *((_short(cell), "") for cell in cells)),
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(),
    )


def _total_row(title: str, below: str, cells: Sequence[ReportCell], *, cold: bool) -> TableRow:
    fields = tuple(_field(cell.number(metric_name(LIFE, cold=cold))) for cell in cells)
    return TableRow(family="", label=title, detail=below, fields=fields)


def _stage_row(name: str, cells: Sequence[ReportCell], *, cold: bool) -> TableRow:
    return TableRow(
        family="",
        label=TITLES[name],
        detail=STAGES[name],
        fields=tuple(
            _field(cell.number(metric_name(name, cold=cold))) if _has(cell, name, cold=cold) else TableField(main="–")
            for cell in cells
        ),
    )


def _field(number: Number) -> TableField:
    return TableField(main=value_text(number), sub=interval_text(number))


def _has(cell: ReportCell, name: str, *, cold: bool) -> bool:
    return any(number.metric == metric_name(name, cold=cold) for number in cell.every)


def _short(cell: ReportCell) -> str:
    """`fork`, `raw fork`, `threads`: a column's heading."""
    return cell.model.replace("-", " ")
