"""What-if: walls under models that were not run, the break-even of processes, the cost of other start methods."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellKey
from tracekit.analysis.metrics.cells.speedup import SAME_WORK
from tracekit.analysis.metrics.predict import break_even, prediction
from tracekit.analysis.metrics.predict.break_even_terms import NO_COSTS, BreakEvenTerms
from tracekit.analysis.metrics.predict.task_demand import BASE
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.environment import environments
from tracekit.analysis.report.pages.comparison import break_even_figure
from tracekit.analysis.report.views import (
    FigureGroup,
    FigureView,
    LegendItem,
    RowGroup,
    Section,
    TableField,
    TableRow,
    TableView,
)
from tracekit.analysis.report.wording import interval_text, range_text, times, value_text
from tracekit.analysis.statistics.ratios import Rounds, divide_rounds, geometric_interval, geometric_mean
from tracekit.analysis.tables import CELL
from tracekit.core.units import format_ns, listed, plural

SLUG = "what-if"
PREDICTION, BREAK_EVEN, START_METHODS = "prediction", "break-even", "start-methods"
TOPICS = {
    BREAK_EVEN: "Break-even of processes",
    PREDICTION: "Predicted walls",
    START_METHODS: "Other start methods",
}
"""Topic of `tracekit explain` -> the title of its table."""

HOW = {
    BREAK_EVEN: "Equal tasks that compute and wait as this workload's do are played through: start of the workers, "
    "handing out, bytes on their way and the end as the controls of each round have them, against threads that are as "
    "much faster than one after another as they were here. The shortest length, and the least number, from which on "
    "the pool is faster for every greater one; where a round has none there is no number. Geometric mean of the "
    "rounds, with the interval of what went in.",
    PREDICTION: "The CPU time of each task and its waits for the outside, of each round, played through task by task "
    "with what workers, bytes and computing beside others cost in the controls of the same round. Median of the "
    "rounds, with the interval of what went in.",
    START_METHODS: "Measured where the suite has that model at as many workers, else predicted. The ratio is that of "
    "two measured walls, or of two predicted ones, paired by round.",
}

_NONE, _UNKNOWN = "none", "n/a"
_POOLS = {"fork": "forked processes", "forkserver": "processes of a fork server", "spawn": "spawned processes"}
_DEFAULT_OF = {
    "fork": "Linux up to Python 3.13",
    "forkserver": "Linux from Python 3.14 on",
    "spawn": "macOS, Windows",
}


def section(analysis: Analysis, groups: Sequence[CellGroup]) -> Section | None:
    """None where nothing was predicted, and for programs."""
    with_base = [(group, base) for group in groups if (base := _base(group)) is not None and _has_predictions(base)]
    if not with_base:
        return None
    drawn = [break_even_figure.figure(base, terms) for _, base in with_base if (terms := _terms(analysis, base))]
    figures = [item for item in drawn if item is not None]
    return Section(
        slug=SLUG,
        title="What-if",
        sentences=sentences(analysis, groups),
        lead=len(with_base),
        figures=FigureGroup(label="", figures=_numbered(figures), missing=()) if figures else None,
        tables=tuple(by_topic(analysis, groups).values()),
    )


def by_topic(analysis: Analysis, groups: Sequence[CellGroup]) -> dict[str, TableView]:
    """Topic -> its table, for topics with numbers."""
    made = {
        PREDICTION: _predictions(analysis, groups),
        BREAK_EVEN: _break_evens(groups),
        START_METHODS: _start_methods(analysis, groups),
    }
    return {topic: table for topic, table in made.items() if table is not None}


def sentences(analysis: Analysis, groups: Sequence[CellGroup]) -> tuple[str, ...]:
    """A sentence per group with predictions."""
    several = len(groups) > 1
    found = [(group, base) for group in groups if (base := _base(group)) is not None and _has_predictions(base)]
    return tuple(
        f"{f'{group.label}: ' if several else ''}{_sentence(base, _terms(analysis, base))}" for group, base in found
    )


def _sentence(base: ReportCell, terms: Sequence[BreakEvenTerms]) -> str:
    """The break-even task length of each start method, in words."""
    known = [
        (model, number)
        for model in prediction.POOLS
        if (number := base.number(break_even.metric_name(model, break_even.LENGTH))).available
    ]
    if not known:
        numbers = [base.number(break_even.metric_name(model, break_even.LENGTH)) for model in prediction.POOLS]
        # Of a pool that was not measured nothing is asked; what one of the others never does may be open for another.
        asked = [number for number in numbers if number.reason != NO_COSTS.reason] or numbers
        unknown = next((number for number in asked if number.method != break_even.PLAYED), None)
        if unknown is None:
            return f"Processes have no break-even here: {asked[0].reason}."
        return f"The break-even of processes is not known: {unknown.reason}."
    each = listed([f"{_POOLS[model]} from {_with_interval(number)}" for model, number in known])
    length = f" One takes {format_ns(statistics.median(item.task_ns for item in terms))} here." if terms else ""
    return (
        f"With as many tasks of this payload, {plural(base.workers, 'worker')} are faster than threads and serial when "
        f"a task takes long enough: {each}.{length}"
    )


def _with_interval(number: Number) -> str:
    between = interval_text(number)
    return f"{value_text(number)} ({between})" if between else value_text(number)


def _base(group: CellGroup) -> ReportCell | None:
    """The cell of threads with the most workers, from which all predictions are made."""
    found = [cell for cell in group.cells if cell.model == BASE]
    return max(found, key=lambda cell: cell.workers) if found else None


def _has_predictions(base: ReportCell) -> bool:
    return any(base.number(prediction.metric_name(model)).available for model in prediction.PREDICTED)


def _terms(analysis: Analysis, base: ReportCell) -> Sequence[BreakEvenTerms]:
    found = analysis.break_even_terms.get(_key(base), ())
    return () if isinstance(found, str) else found


def _key(base: ReportCell) -> CellKey:
    return tuple(getattr(base, name) for name in CELL)


def _numbered(figures: list[FigureView]) -> tuple[FigureView, ...]:
    if len(figures) == 1:
        return tuple(figures)
    return tuple(replace(figure, slug=f"{figure.slug}-{number}") for number, figure in enumerate(figures, start=1))


def _measured(group: CellGroup, base: ReportCell, model: str) -> ReportCell | None:
    """The same work under that model with as many workers, where its wall was measured."""
    for cell in group.cells:
        same = all(getattr(cell, name) == getattr(base, name) for name in SAME_WORK)
        if same and cell.model == model and (model == "serial" or cell.workers == base.workers):
            return cell if cell.number("wall_ns").available else None
    return None


def _blocks(groups: Sequence[CellGroup], rows_of: Mapping[str, tuple[TableRow, ...]]) -> tuple[RowGroup, ...]:
    several = len(groups) > 1
    return tuple(
        RowGroup(label=group.label if several else "", rows=rows)
        for group in groups
        if (rows := rows_of.get(group.label))
    )


def _predictions(analysis: Analysis, groups: Sequence[CellGroup]) -> TableView | None:
    rows: dict[str, tuple[TableRow, ...]] = {}
    for group in groups:
        base = _base(group)
        if base is None:
            continue
        found = []
        for model in prediction.PREDICTED:
            number = base.number(prediction.metric_name(model))
            if number.available:
                predicted = prediction.predict_rounds(analysis, _key(base), model)
                found.append(_predicted_row(model, base, number, predicted, _measured(group, base, model)))
        rows[group.label] = tuple(found)
    blocks = _blocks(groups, rows)
    if not blocks:
        return None
    return TableView(
        title=TOPICS[PREDICTION],
        caption="The CPU time of each task and its waits for the outside under threads, played through with what "
        "workers, bytes and computing beside others cost in the controls of the same rounds. The interval is that of "
        "these inputs; docs/metrics.md compares predictions with measurements.",
        columns=(
            ("Model", "workers"),
            ("Predicted wall", "95 % interval"),
            ("Measured wall", "95 % interval"),
            ("Predicted / measured", "95 % interval"),
        ),
        groups=blocks,
        legend=(),
    )


def _predicted_row(
    model: str, base: ReportCell, number: Number, predicted: Rounds, cell: ReportCell | None
) -> TableRow:
    wall = TableField(main="not measured")
    ratio = TableField(main="–")
    if cell is not None:
        measured = cell.number("wall_ns")
        wall = TableField(main=value_text(measured), sub=interval_text(measured))
        ratio = _ratio_field(divide_rounds(predicted, cell.walls_by_round))
    return TableRow(
        family="serial" if model == "serial" else "processes",
        label=_label(model),
        detail="one thread" if model == "serial" else plural(base.workers, "worker"),
        fields=(TableField(main=value_text(number), sub=interval_text(number)), wall, ratio),
    )


def _ratio_field(ratios: Rounds) -> TableField:
    """The ratio of two walls, paired by round."""
    if not ratios:
        return TableField(main="–")
    ends = geometric_interval(ratios.values())
    few = f"n = {len(ratios)}"
    return TableField(
        main=times(geometric_mean(ratios.values())), sub=few if isnan(ends[0]) else range_text(*ends, "ratio")
    )


def _label(model: str) -> str:
    return model if model == "serial" else f"processes ({model})"


def _break_evens(groups: Sequence[CellGroup]) -> TableView | None:
    rows: dict[str, tuple[TableRow, ...]] = {}
    for group in groups:
        base = _base(group)
        if base is not None and _has_predictions(base):
            rows[group.label] = tuple(
                TableRow(
                    family="processes",
                    label=_label(model),
                    detail=plural(base.workers, "worker"),
                    fields=tuple(
                        _even_field(base.number(break_even.metric_name(model, metric)))
                        for metric in (break_even.LENGTH, break_even.COUNT)
                    ),
                )
                for model in prediction.POOLS
            )
    blocks = _blocks(groups, rows)
    if not blocks:
        return None
    return TableView(
        title=TOPICS[BREAK_EVEN],
        caption="Above these a pool of processes is faster than threads and serial, for tasks that compute and wait as "
        "these do, with items and results of the same size.",
        columns=(
            ("Model", "workers"),
            ("Task length", "with as many tasks"),
            ("Number of tasks", "as long as these"),
        ),
        groups=blocks,
        legend=_why_none(groups),
    )


def _even_field(number: Number) -> TableField:
    if number.available:
        return TableField(main=value_text(number), sub=interval_text(number))
    return TableField(main=_NONE if number.method == break_even.PLAYED else _UNKNOWN)


def _why_none(groups: Sequence[CellGroup]) -> tuple[LegendItem, ...]:
    """The reasons behind `none` and `n/a`, each once."""
    numbers = [
        base.number(break_even.metric_name(model, metric))
        for group in groups
        if (base := _base(group)) is not None and _has_predictions(base)
        for metric in (break_even.LENGTH, break_even.COUNT)
        for model in prediction.POOLS
    ]
    reasons: dict[str, dict[str, None]] = {}
    for number in numbers:
        if not number.available and number.reason:
            reasons.setdefault(_even_field(number).main, {})[number.reason] = None
    return tuple(LegendItem(mark=mark, text="; ".join(texts)) for mark, texts in reasons.items())


def _start_methods(analysis: Analysis, groups: Sequence[CellGroup]) -> TableView | None:
    rows: dict[str, tuple[TableRow, ...]] = {}
    all_measured = True
    for group in groups:
        base = _base(group)
        if base is None:
            continue
        measured = {model: _measured(group, base, model) for model in prediction.POOLS}
        all_measured &= all(cell is not None for cell in measured.values())
        default = _default(analysis, group)
        rows[group.label] = tuple(
            _method_row(model, base, cell, _against(analysis, base, model, default, measured))
            for model, cell in measured.items()
            if cell is not None or base.number(prediction.metric_name(model)).available
        )
    blocks = _blocks(groups, rows)
    if not blocks:
        return None
    return TableView(
        title=TOPICS[START_METHODS],
        # The summary has these walls.
        closed=all_measured,
        caption="On this machine; the cost of a start method on another system needs a run there.",
        columns=(
            ("Start method", "workers"),
            ("Default of", ""),
            ("Wall", "95 % interval"),
            ("Against the default here", "95 % interval"),
        ),
        groups=blocks,
        legend=(),
    )


def _against(
    analysis: Analysis, base: ReportCell, model: str, default: str, measured: Mapping[str, ReportCell | None]
) -> TableField:
    """The wall over that under the default, both measured, else both predicted: their errors have much in common."""
    if model == default:
        return TableField(main="is the default")
    own, other = measured[model], measured.get(default)
    if own is not None and other is not None:
        return _ratio_field(divide_rounds(own.walls_by_round, other.walls_by_round))
    predicted = (prediction.predict_rounds(analysis, _key(base), name) for name in (model, default))
    return _ratio_field(divide_rounds(*predicted))


def _method_row(model: str, base: ReportCell, cell: ReportCell | None, against: TableField) -> TableRow:
    number = base.number(prediction.metric_name(model)) if cell is None else cell.number("wall_ns")
    return TableRow(
        family="processes",
        label=model,
        detail=plural(base.workers, "worker"),
        fields=(
            TableField(main=_DEFAULT_OF[model], words=True),
            TableField(
                main=value_text(number), sub=interval_text(number), tag="predicted" if cell is None else "measured"
            ),
            against,
        ),
    )


def _default(analysis: Analysis, group: CellGroup) -> str:
    """The default start method of that interpreter."""
    for item in environments(analysis.suite):
        python = item.get("python")
        if item.get("python_label") in (None, group.python) and isinstance(python, dict):
            return str(python.get("start_method_default") or "")
    return ""
