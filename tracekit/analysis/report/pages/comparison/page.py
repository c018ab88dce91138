"""The page that compares models: walls, speed-ups, the GIL of every model, one run in detail, what-if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.names import names_of
from tracekit.analysis.report import environment
from tracekit.analysis.report.appendix import methods
from tracekit.analysis.report.caveats import find_caveats
from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.comparison import (
    pythons,
    speedup_figure,
    summary,
    switches_figure,
    thread_time_figure,
    walls_figure,
    what_if,
    worker_start_figure,
)
from tracekit.analysis.report.pages.comparison.verdict import verdict
from tracekit.analysis.report.pages.subject import figure_group
from tracekit.analysis.report.sections.gil import gil_table
from tracekit.analysis.report.sections.method_comparison import comparison_table
from tracekit.analysis.report.sections.observed import observed_table
from tracekit.analysis.report.sections.pickling import pickling_table
from tracekit.analysis.report.sections.run_waits import attribution_section, sites_section
from tracekit.analysis.report.shares import gil_wait
from tracekit.analysis.report.views import FigureGroup, PageView, Section, table_section
from tracekit.analysis.tables import CELL, Tables, records
from tracekit.bundle.names import UNTRACED, is_light, split_capture


def build_page(analysis: Analysis) -> PageView:
    """Models compared with serial and with one another, by group of operating system and interpreter."""
    tables = analysis.tables
    found = groups(tables)
    own = tuple(group for group in found if group.cells or group.traced)
    named = tables.suite.get("workload")
    workload = str(named) if named else next((cell.workload for group in own for cell in group.cells), "suite")
    environments = environment.environments(tables.suite)
    verdicts = [verdict(group, workload, _cpus(environments, group)) for group in own or (_no_group(),)]
    two = pythons.are_two(own)
    return PageView(
        verdicts=(*([pythons.compare(own, workload)] if two else []), *verdicts),
        summary=pythons.table(own, workload) if two else summary.summary_table(own, workload),
        by_workers=summary.tables_by_workers(own),
        captures=summary.captures_table(own),
        figures=_figures(own, workload),
        sections=_sections(analysis, own, workload),
        caveats=find_caveats(own),
        methods=methods(found),
    )


def _figures(own: tuple[CellGroup, ...], workload: str) -> tuple[FigureGroup, ...]:
    """The figures of each group, of two side by side; the cost of starting a worker is one figure for all of them."""
    several = len(own) > 1
    blocks = []
    for index, group in enumerate(own, start=1):
        modules = (speedup_figure, thread_time_figure, switches_figure, walls_figure)
        made = [module.figure(group, workload) for module in modules]
        if not several:
            made.insert(2, worker_start_figure.figure(own, workload))
        blocks.append(figure_group(group.label if several else "", made, f"-{index}" if several else ""))
    if pythons.are_two(own):
        blocks = [pythons.interleave(blocks)]
    if several:
        blocks.append(figure_group("All of them", [worker_start_figure.figure(own, workload)], ""))
    return tuple(blocks)


def _sections(analysis: Analysis, own: tuple[CellGroup, ...], workload: str) -> tuple[Section, ...]:
    """What explains the numbers, then what lists them: the observations, who held the GIL in one run of the model that
    waits for it most, what other models would do; the tables of the GIL, of wait sites and of the other costs.
    """
    tables = analysis.tables
    explaining = [
        table_section("observed", "Observations", observed_table(own), in_terminal=True),
        what_if.section(analysis, own),
    ]
    listing = [table_section("gil", "The GIL", gil_table(own))]
    chosen = _most_contended(tables, own)
    if chosen is not None:
        cell, run = chosen
        what = f"{workload}, {cell.counted}, one run with capture {run['capture']}"
        run_id = str(run["run_id"])
        names = names_of(tables, run_id)
        explaining.insert(1, attribution_section(analysis, run_id, names, what, f"This is {what}."))
        listing.append(sites_section(analysis, run_id, names, f"This is {what}."))
    listing.append(pythons.own_section(own, workload) if pythons.are_two(own) else None)
    listing.append(table_section("pickling", "Communication with the workers", pickling_table(own)))
    listing.append(table_section("method-comparison", "Method comparison", comparison_table(own)))
    return tuple(section for section in (*explaining, *listing) if section is not None)


def _most_contended(tables: Tables, own: tuple[CellGroup, ...]) -> tuple[ReportCell, Mapping[str, Any]] | None:
    """The cell with the longest GIL wait that a light capture measured, and its run of median GIL wait; None without
    any."""
    measured = [
        (cell, number)
        for group in own
        for cell in group.at_most_workers()
        if (number := gil_wait(cell)[0]).available and is_light(number.capture)
    ]
    if not measured:
        return None
    cell, number = max(measured, key=lambda item: item[1].centre or 0.0)
    if not number.centre:
        return None
    run = _median_run(tables, cell)
    return None if run is None else (cell, run)


def _median_run(tables: Tables, cell: ReportCell) -> Mapping[str, Any] | None:
    """Of the cell's runs under the wait probe, which records functions, the one of median GIL wait."""
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


def _cpus(environments: tuple[dict[str, object], ...], group: CellGroup) -> int | None:
    """The CPUs of the environment in which the group was run; None where unknown."""
    for item in environments:
        if item.get("python_label") in (None, group.python) and item.get("os") in (None, group.os):
            return environment.cpus(item)
    return environment.cpus(environments[0]) if len(environments) == 1 else None


def _no_group() -> CellGroup:
    return CellGroup(os="", python="", cells=(), controls=(), traced=())
