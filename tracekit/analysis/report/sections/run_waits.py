"""The waits of one run: who held the GIL while others waited for it, and the functions in which threads waited."""

from __future__ import annotations

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.gil.wait_stacks import collapse_waits
from tracekit.analysis.metrics.names import Names
from tracekit.analysis.report.figures import attribution_matrix, flame
from tracekit.analysis.report.sections.contention_attribution import (
    attribution_csv,
    attribution_sentences,
    attribution_table,
    read_attribution,
)
from tracekit.analysis.report.sections.wait_sites import sites_csv, sites_of, sites_table
from tracekit.analysis.report.views import Download, FigureGroup, FigureView, Section

COLLAPSED = "wait.collapsed.txt"


def attribution_section(
    analysis: Analysis, run_id: str, names: Names, what: str, first: str = "", *, told_ns: float = 0
) -> Section | None:
    """Contention attribution of one run; None without data. `what` stands in the figures, `first` before all.
    A GIL wait of less than `told_ns` has no sentence.
    """
    view = read_attribution(analysis, run_id, names)
    stacks = collapse_waits(analysis, run_id)
    drawn: list[FigureView] = [] if view is None else [attribution_matrix.figure(view, what)]
    flames = flame.figure(stacks, what)
    drawn += [] if flames is None else [flames]
    if not drawn:
        return None
    told = () if view is None else attribution_sentences(view, told_ns)
    leading = (*_without_functions(analysis, run_id), *told)
    downloads = []
    if stacks:
        about = "the waits as collapsed stacks in microseconds, for flamegraph.pl or speedscope"
        downloads.append(Download(name=COLLAPSED, about=about, content="\n".join(stacks) + "\n"))
    if view is not None:
        about = "every pair of waiter and holder"
        downloads.append(Download(name="attribution.csv", about=about, content=attribution_csv(view)))
    return Section(
        slug="attribution",
        title="Contention attribution",
        sentences=(*([first] if first else []), *leading),
        lead=len(leading),
        figures=FigureGroup(label="", figures=tuple(drawn), missing=()),
        tables=() if view is None else (attribution_table(view),),
        downloads=tuple(downloads),
    )


def _without_functions(analysis: Analysis, run_id: str) -> tuple[str, ...]:
    """Why functions are not known, as a sentence; none where they are."""
    reason = analysis.without_functions.get(run_id)
    return (
        ()
        if reason is None
        else (f"The functions of the threads are not known: Python's could not be read, {reason}.",)
    )


def sites_section(analysis: Analysis, run_id: str, names: Names, first: str = "") -> Section | None:
    """The wait sites of one run; None without any."""
    found = sites_of(analysis.tables, run_id, names)
    table = sites_table(found)
    leading = _without_functions(analysis, run_id)
    if leading and not any(site.function for site in found):
        return Section(slug="sites", title="Wait sites", sentences=leading, lead=1)
    if table is None:
        return None
    return Section(
        slug="sites",
        title="Wait sites",
        sentences=(*([first] if first else []), *leading),
        lead=len(leading),
        tables=(table,),
        downloads=(Download(name="wait-sites.csv", about="every wait site", content=sites_csv(found)),),
    )
