"""Method comparison: the GIL wait by every method that measured it."""

from __future__ import annotations

from tracekit.analysis.metrics.methods import find_family
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView
from tracekit.analysis.report.wording import interval_text, range_text, value_text
from tracekit.bundle.names import PROGRAM, UNTRACED
from tracekit.core.units import format_ns

COLUMNS = (
    ("Model", "workers"),
    ("Method", "capture"),
    ("GIL wait", "95 % interval"),
    ("Difference from the best", "of its value"),
)
COLUMNS_OF_PROGRAM = (("Program", ""), *COLUMNS[1:])
_METRIC = "gil_wait_ns"
_DIFFERENT = " Methods of different captures measured different runs, so they also differ as repeats do."
_NEGLIGIBLE_NS = 1e6
"""Of a wait shorter than this no relative difference is shown."""


def comparison_table(groups: tuple[CellGroup, ...]) -> TableView | None:
    """A block per model with a row per method, the best first; None where there is one method only."""
    several = len(groups) > 1
    blocks = [
        RowGroup(label=group.label if several else "", rows=rows)
        for group in groups
        for cell in group.at_most_workers()
        if (rows := _rows(cell))
    ]
    if not blocks:
        return None
    of_program = any(cell.family == PROGRAM for group in groups for cell in group.cells)
    return TableView(
        title="Methods side by side",
        closed=True,
        caption=f"The GIL wait by every method that ran, the best first.{'' if of_program else _DIFFERENT}",
        columns=COLUMNS_OF_PROGRAM if of_program else COLUMNS,
        groups=tuple(blocks),
        legend=(LegendItem(mark="inside", text="a bound disagrees only where the best method lies outside its range"),),
    )


def _rows(cell: ReportCell) -> tuple[TableRow, ...]:
    numbers = [number for number in cell.numbers_by_method(_METRIC) if number.method not in ("single-thread", "no-gil")]
    if len(numbers) < 2 or not any(number.centre for number in numbers):
        return ()
    best = numbers[0]
    return tuple(
        TableRow(
            family="plain" if cell.family == PROGRAM else cell.family,
            label=cell.heading,
            detail=cell.detail,
            fields=(
                TableField(
                    main=find_family(number.method) if number.quality != "bound" else number.method,
                    sub=_capture(number),
                ),
                TableField(main=value_text(number), sub=_interval(cell, number), tag=_tag(number)),
                TableField(main="the best") if number is best else _difference(best, number),
            ),
        )
        for number in numbers
    )


def _interval(cell: ReportCell, number: Number) -> str:
    """Empty for a program without an interval: it ran once, which need not stand in every row."""
    return "" if cell.family == PROGRAM and number.interval is None else interval_text(number)


def _capture(number: Number) -> str:
    return "untraced" if number.capture == UNTRACED else f"capture {number.capture}"


def _tag(number: Number) -> str:
    return {"bound": "bound", "estimated": "est."}.get(number.quality, "")


def _difference(best: Number, other: Number) -> TableField:
    """The difference of the two; of a bound, how far the best lies outside it."""
    low, high = _ends(best)
    if other.quality == "bound":
        lower, upper = _ends(other)
        outside = max(0.0, lower - high, low - upper)
        if not outside:
            return TableField(main="inside", sub=f"a range of {range_text(lower, upper, 'ns')}")
        return TableField(main=format_ns(outside), sub=_relative(outside, best))
    distance = abs((best.centre or 0.0) - (other.centre or 0.0))
    if (
        other.quality == "estimated"
        and other.interval
        and other.interval[0] <= (best.centre or 0.0) <= other.interval[1]
    ):
        return TableField(main=format_ns(distance), sub="inside its interval")
    return TableField(main=format_ns(distance), sub=_relative(distance, best))


def _ends(number: Number) -> tuple[float, float]:
    centre = number.centre or 0.0
    return number.interval or (centre, centre)


def _relative(distance: float, best: Number) -> str:
    centre = best.centre or 0.0
    return f"{distance / centre * 100:.1f} %" if centre > _NEGLIGIBLE_NS else ""
