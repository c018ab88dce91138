"""The subjects of the report beside its summary: the GIL, who kept whom waiting, wait sites, how sure it all is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.gil.wait_stacks import collapse_waits
from tracekit.analysis.report.cells import Cell, Group
from tracekit.analysis.report.figures import attribution_matrix as blame_figure
from tracekit.analysis.report.figures import flame
from tracekit.analysis.report.names import Names, names_of
from tracekit.analysis.report.pages.comparison import what_if as follows
from tracekit.analysis.report.pages.program.recorded_program import Program
from tracekit.analysis.report.sections.contention_attribution import blame_csv, blame_of, blame_table, sentences
from tracekit.analysis.report.sections.gil import gil_table
from tracekit.analysis.report.sections.method_comparison import sure_table
from tracekit.analysis.report.sections.observed import observed_table
from tracekit.analysis.report.sections.pickling import pickling_table
from tracekit.analysis.report.sections.wait_sites import sites_csv, sites_of, sites_table
from tracekit.analysis.report.shares import gil_wait
from tracekit.analysis.report.views import Download, FigureGroup, FigureView, Section, TableView
from tracekit.analysis.tables import CELL, Tables, records
from tracekit.bundle.names import SEE_WAITS, UNTRACED, is_light, split_capture

COLLAPSED = "wait.collapsed.txt"


def of_suite(tables: Tables, analysis: Analysis, groups: tuple[Group, ...], workload: str) -> tuple[Section, ...]:
    """What the workload observed, the GIL of every model, and of the model that waits for it most one run in detail."""
    sections = [
        _observed(groups),
        _tables("gil", "The GIL", gil_table(groups)),
    ]
    chosen = _contended(tables, groups)
    if chosen is not None:
        cell, run = chosen
        what = f"{workload}, {cell.counted}, one run with capture {run['capture']}"
        sections += of_run(tables, analysis, str(run["run_id"]), names_of(tables, str(run["run_id"])), what, what)
    sections.append(follows.section(analysis, groups))
    sections.append(_tables("pickling", "Talking to the workers", pickling_table(groups)))
    sections.append(_tables("sure", "How sure", sure_table(groups)))
    return tuple(section for section in sections if section is not None)


def of_program(
    tables: Tables, analysis: Analysis, program: Program, groups: tuple[Group, ...], what: str
) -> list[Section]:
    """Everything there is to see of a recorded program beside its processes and the time of its threads."""
    sections = of_run(tables, analysis, program.run_id, program.names, what, "")
    if not SEE_WAITS & split_capture(program.run["capture"]):
        sections.append(_unwatched(program))
    rest = [_tables("gil", "The GIL", gil_table(groups)), _tables("sure", "How sure", sure_table(groups))]
    return [*sections, *(section for section in rest if section is not None)]


def _unwatched(program: Program) -> Section:
    """In the place of the waits: why there are none."""
    own = sorted(split_capture(program.run["capture"]))
    left = [_LEFT[name].format(suite=program.run["suite_id"]) for name in own if name in _LEFT]
    said = (
        "Not watched by waits: what the threads of this run waited for is not known, nor how long.",
        *left,
        f"`tracekit record --capture {','.join(['waits', *own])} -- ...` records the waits{' as well' if own else ''}.",
    )
    return Section(slug="sites", title="Where it waited", sentences=said, lead=len(said))


_LEFT = {
    "py-spy": "Stack samples are what py-spy left: `tracekit export {suite} samples`.",
    "viztracer": "Calls on a timeline are what viztracer left: `tracekit view {suite}`.",
}
"""What a capture that sees no waits leaves instead."""


def of_run(tables: Tables, analysis: Analysis, run_id: str, names: Names, what: str, told: str) -> list[Section]:
    """Blame and wait sites of one run. `what` stands in its figures; `told`, if any, says which run it is."""
    told = f"This is {told}." if told else ""
    return [
        section for section in (_blame(analysis, run_id, names, what, told), _sites(tables, run_id, told)) if section
    ]


def _blame(analysis: Analysis, run_id: str, names: Names, what: str, told: str) -> Section | None:
    view = blame_of(analysis, run_id, names)
    stacks = collapse_waits(analysis, run_id)
    drawn: list[FigureView] = [] if view is None else [blame_figure.figure(view, what)]
    flames = flame.figure(stacks, what)
    drawn += [] if flames is None else [flames]
    if not drawn:
        return None
    said = () if view is None else sentences(view)
    downloads = []
    if stacks:
        about = "the waits as collapsed stacks in microseconds, for flamegraph.pl or speedscope"
        downloads.append(Download(name=COLLAPSED, about=about, content="\n".join(stacks) + "\n"))
    if view is not None:
        downloads.append(Download(name="blame.csv", about="every pair of waiter and holder", content=blame_csv(view)))
    return Section(
        slug="blame",
        title="Who kept whom waiting",
        sentences=(*([told] if told else []), *said),
        lead=len(said),
        figures=FigureGroup(label="", figures=tuple(drawn), missing=()),
        tables=() if view is None else (blame_table(view),),
        downloads=tuple(downloads),
    )


def _sites(tables: Tables, run_id: str, told: str) -> Section | None:
    found = sites_of(tables, run_id)
    table = sites_table(found)
    if table is None:
        return None
    about = "every wait site"
    return Section(
        slug="sites",
        title="Where it waited",
        sentences=(told,) if told else (),
        tables=(table,),
        downloads=(Download(name="wait-sites.csv", about=about, content=sites_csv(found)),),
    )


def _observed(groups: tuple[Group, ...]) -> Section | None:
    table = observed_table(groups)
    return (
        None if table is None else Section(slug="observed", title="What it observed", tables=(table,), in_terminal=True)
    )


def _tables(slug: str, title: str, table: TableView | None) -> Section | None:
    return None if table is None else Section(slug=slug, title=title, tables=(table,))


def _contended(tables: Tables, groups: tuple[Group, ...]) -> tuple[Cell, Mapping[str, Any]] | None:
    """The cell with the longest GIL wait that was seen, and of its runs the one in the middle; None without any."""
    seen = [
        (cell, gil_wait(cell)[0])
        for group in groups
        for cell in group.at_most_workers()
        if gil_wait(cell)[0].available and is_light(gil_wait(cell)[0].capture)
    ]
    if not seen:
        return None
    cell, number = max(seen, key=lambda item: item[1].centre or 0.0)
    if not number.centre:
        return None
    run = _in_the_middle(tables, cell)
    return None if run is None else (cell, run)


def _in_the_middle(tables: Tables, cell: Cell) -> Mapping[str, Any] | None:
    """Of the cell's runs under the wait probe, which knows functions, the one of median GIL wait."""
    of_cell = [
        run
        for run in records(tables.runs)
        if run["capture"] != UNTRACED
        and is_light(run["capture"])
        and run["status"] == "ok"
        and not run["warmup"]
        and all(run[name] == getattr(cell, name) for name in CELL if name not in ("start_method", "capture"))
    ]
    of_cell = [run for run in of_cell if "waits" in split_capture(run["capture"])] or of_cell
    rows = tables.metrics[(tables.metrics["scope"] == "run") & (tables.metrics["metric"] == "gil_wait_ns")]
    waits = rows.dropna(subset=["value"]).groupby("run_id")["value"].max().to_dict()
    known = sorted((run for run in of_cell if run["run_id"] in waits), key=lambda run: waits[run["run_id"]])
    return known[len(known) // 2] if known else None
