"""Two interpreters side by side: the wall of every model under both, and the ratio of the two, paired by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.fields import Footnotes
from tracekit.analysis.report.pages.comparison import summary
from tracekit.analysis.report.views import FigureGroup, RowGroup, Section, TableField, TableRow, TableView, Verdict
from tracekit.analysis.report.wording import range_text, times, value_text
from tracekit.analysis.statistics.ratios import divide_rounds, geometric_interval, geometric_mean
from tracekit.core.units import listed

_SIDE_BY_SIDE = (
    ("Wall", "95 % interval"),
    ("Speed-up", "against serial"),
    ("GIL wait", "of thread time"),
)
"""The columns of the summary that both interpreters have beside one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One model under both interpreters; `speed`: how many times as fast it is under the second, with its interval."""

    first: ReportCell
    second: ReportCell
    speed: float
    interval: tuple[float, float] | None
    n: int

    @property
    def text(self) -> str:
        """`2 threads are 1.20x as fast (1.17–1.23)`, no more than the interval says."""
        verb = "is" if self.first.workers == 1 else "are"
        if self.interval is None:
            return f"{self.first.counted} {verb} {times(self.speed)} as fast, without an interval"
        between = range_text(*self.interval, "ratio")
        # As it is shown.
        if round(self.interval[0], 2) <= 1 <= round(self.interval[1], 2):
            return f"{self.first.counted} {verb} not detectably faster or slower ({times(self.speed)}, {between})"
        return f"{self.first.counted} {verb} {times(self.speed)} as fast ({between})"


def are_two(groups: Sequence[CellGroup]) -> bool:
    """Whether these are two interpreters of one system that ran the same models."""
    return len(groups) == 2 and groups[0].os == groups[1].os and any(_pairs(*groups))


def compare(groups: Sequence[CellGroup], workload: str) -> Verdict:
    """The second interpreter against the first, in one sentence, and which run of all was the shortest."""
    first, second = groups
    pairs = list(_pairs(first, second))
    counts = sorted({pair.n for pair in pairs if pair.interval})
    intervals = f" (95 % intervals, n = {listed([str(count) for count in counts])})" if counts else ""
    shortest, name = min(
        ((cell, _name(group)) for group in groups for cell in group.at_most_workers() if cell.walls_ns),
        key=lambda item: item[0].number("wall_ns").centre or float("inf"),
    )
    return Verdict(
        label="Both",
        outcome="compared",
        lead=f"{workload} under {_name(second)} against {_name(first)}: {pairs[0].text}",
        rest=f"{''.join(f'; {pair.text}' for pair in pairs[1:])}{intervals}. The shortest median wall is that of "
        f"{shortest.counted} under {name}, {value_text(shortest.number('wall_ns'))}.",
    )


def table(groups: Sequence[CellGroup], workload: str) -> TableView:
    """A row per model with the numbers of both interpreters side by side."""
    first, second = (_name(group) for group in groups)
    notes = Footnotes()
    rows = tuple(_row(pair, notes) for pair in _pairs(*groups))
    names = [f"{title}, {name}" for title, _ in _SIDE_BY_SIDE for name in (first, second)]
    # What the numbers of each are explained by has its number at the end.
    explained = {
        f"{title}, {name}": tuple(place for found in summary.EXPLAINED[title] for place in (f"{found}-{number}", found))
        for title, _ in _SIDE_BY_SIDE
        for number, name in enumerate((first, second), start=1)
    }
    below = [text for _, text in _SIDE_BY_SIDE for _ in groups]
    columns = list(zip(names, below, strict=True))
    columns.insert(2, ("As fast", f"{second} against {first}"))
    return TableView(
        title=f"{workload}: {first} and {second}",
        caption="Medians of the untraced repeats, run in turn. As fast: the wall under the first over that under the "
        "second, paired by round, with its 95 % interval.",
        columns=(("Model", "workers"), *columns),
        groups=(RowGroup(label="", rows=rows),),
        legend=(*summary.find_tags(rows), *notes.legend()),
        explained=explained,
    )


def own_section(groups: Sequence[CellGroup], workload: str) -> Section:
    """The whole summary of each interpreter, for who wants more than the comparison."""
    whole = replace(summary.summary_table(tuple(groups), workload), closed=True)
    return Section(slug="each-python", title="Each Python by itself", tables=(whole,))


def interleave(blocks: Sequence[FigureGroup]) -> FigureGroup:
    """The figures of both, those about the same side by side; the caption says whose it is."""
    drawn = [
        replace(figure, title=f"{figure.title}, {block.label}", caption=f"{block.label}. {figure.caption}")
        for figures in zip(*(block.figures for block in blocks), strict=False)
        for block, figure in zip(blocks, figures, strict=True)
    ]
    seen = {figure.slug for figure in drawn}
    rest = [
        replace(figure, title=f"{figure.title}, {block.label}", caption=f"{block.label}. {figure.caption}")
        for block in blocks
        for figure in block.figures
        if figure.slug not in seen
    ]
    missing = [replace(item, title=f"{item.title}, {block.label},") for block in blocks for item in block.missing]
    return FigureGroup(label="", figures=(*drawn, *rest), missing=tuple(missing), in_pairs=True)


def _pairs(first: CellGroup, second: CellGroup) -> Iterator[_Pair]:
    """The models at their most workers that both ran with as many, and in a common round."""
    others = {(cell.variant, cell.workers): cell for cell in second.at_most_workers()}
    for cell in first.at_most_workers():
        other = others.get((cell.variant, cell.workers))
        ratios = divide_rounds(cell.walls_by_round, other.walls_by_round) if other else {}
        if other and ratios:
            ends = geometric_interval(ratios.values())
            yield _Pair(
                first=cell,
                second=other,
                speed=geometric_mean(ratios.values()),
                interval=None if isnan(ends[0]) else ends,
                n=len(ratios),
            )


def _row(pair: _Pair, notes: Footnotes) -> TableRow:
    titles = [title for title, _ in summary.COLUMNS[1:]]
    both = [dict(zip(titles, summary.fields_of(cell, notes), strict=True)) for cell in (pair.first, pair.second)]
    fields = [each[title] for title, _ in _SIDE_BY_SIDE for each in both]
    few = f"n = {pair.n}" if pair.interval is None else range_text(*pair.interval, "ratio")
    fields.insert(2, TableField(main=times(pair.speed), sub=few))
    return TableRow(family=pair.first.family, label=pair.first.variant, detail=pair.first.detail, fields=tuple(fields))


def _name(group: CellGroup) -> str:
    """`Python 3.13`: both are of one system."""
    return group.label.removeprefix(f"{group.os} · ")
