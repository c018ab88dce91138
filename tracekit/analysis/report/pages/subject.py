"""A page about one subject instead of a comparison of models: what the pages of single workloads have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tracekit.analysis.report.appendix import methods
from tracekit.analysis.report.caveats import find_caveats
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.views import FigureGroup, FigureView, MissingFigure, PageView, Section, TableView, Verdict


def subject_page(
    groups: Sequence[CellGroup],
    *,
    verdicts: Iterable[Verdict],
    summary: TableView,
    figures: Sequence[FigureView],
    sections: Iterable[Section],
    caveats: Sequence[str],
) -> PageView:
    """The page; its own caveats stand before those that hold for every suite."""
    return PageView(
        verdicts=tuple(verdicts),
        summary=summary,
        figures=(FigureGroup(label="", figures=number_slugs(figures), missing=()),),
        sections=tuple(sections),
        caveats=(*caveats, *find_caveats(tuple(groups))),
        methods=methods(tuple(groups)),
    )


def number_slugs(figures: Sequence[FigureView]) -> tuple[FigureView, ...]:
    """The figures, each with a file of its own."""
    if len(figures) == 1:
        return tuple(figures)
    return tuple(replace(figure, slug=f"{figure.slug}-{number}") for number, figure in enumerate(figures, start=1))


def figure_group(label: str, made: Sequence[FigureView | MissingFigure], suffix: str) -> FigureGroup:
    """Figures under one heading, `suffix` at the end of their file names, and those that could not be drawn."""
    return FigureGroup(
        label=label,
        figures=tuple(replace(item, slug=item.slug + suffix) for item in made if isinstance(item, FigureView)),
        missing=tuple(item for item in made if isinstance(item, MissingFigure)),
    )
