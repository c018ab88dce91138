"""From tables to the view of a whole report. Pure: nothing is measured or written here."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace

from tracekit import __version__
from tracekit.analysis.metrics.analysis import share_analysis
from tracekit.analysis.report import environment
from tracekit.analysis.report.appendix import every_cell
from tracekit.analysis.report.caveats import view_notices
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages import COMPARISON, load_page
from tracekit.analysis.report.views import PageView, ReportView, Verdict
from tracekit.analysis.tables import Tables, check
from tracekit.core.units import plural


def build(tables: Tables) -> ReportView:
    """The report of one suite: the page that the suite names, and what every report shows.

    Raises MeasurementError when a table is not as `tables.COLUMNS` has it, UsageError for an unknown page.
    """
    for name in ("runs", "metrics", "notices"):
        check(name, tables.table(name))
    analysis = share_analysis(tables)
    page = load_page(_text(tables, "page") or COMPARISON)(analysis) or load_page(COMPARISON)(analysis)
    assert page is not None
    found = groups(tables)
    parts = {item.name: getattr(page, item.name) for item in fields(PageView)}
    parts["verdicts"] = tuple(_with_status(verdict, tables) for verdict in page.verdicts)
    return ReportView(
        title=_text(tables, "workload") or next((cell.workload for group in found for cell in group.cells), "suite"),
        subtitle=_subtitle(tables, tuple(group for group in found if group.cells or group.traced)),
        notices=view_notices(tables),
        environment=(*environment.fact_groups(tables.suite), *environment.program_facts(tables)),
        command=_command(tables),
        every=every_cell(found),
        suite_id=_text(tables, "suite_id"),
        version=__version__,
        **parts,
    )


def _with_status(found: Verdict, tables: Tables) -> Verdict:
    """The verdict; of a suite that was interrupted it says so, since what is missing was planned."""
    if tables.suite.get("status") != "interrupted":
        return found
    planned = tables.suite.get("planned_runs")
    made = int((tables.runs["suite_id"] == tables.suite.get("suite_id")).sum())
    count = f" after {made} of {planned} runs" if planned else ""
    return replace(found, rest=f"{found.rest} The suite was interrupted{count}.")


def _subtitle(tables: Tables, own: tuple[CellGroup, ...]) -> str:
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


def _command(tables: Tables) -> str:
    words = tables.suite.get("command") or ()
    return words if isinstance(words, str) else shlex.join(str(word) for word in words)


def _text(tables: Tables, key: str) -> str:
    value = tables.suite.get(key)
    return "" if value is None else str(value)
