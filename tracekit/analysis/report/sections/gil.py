"""The GIL: how long threads waited for it, how long it was held, how often it was handed over and how fast."""

from __future__ import annotations

from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.fields import (
    GIL_WAIT_AS_RECORDED,
    TAG_TEXT,
    TAG_TEXT_OF_PROGRAM,
    Footnotes,
    field_of,
    how,
)
from tracekit.analysis.report.shares import gil_wait, gil_wait_share
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView
from tracekit.analysis.report.wording import interval_text, range_text, value_text
from tracekit.bundle.names import PROGRAM
from tracekit.core.units import format_ns, significant

COLUMNS = (
    ("Model", "workers"),
    ("GIL wait", "of thread time"),
    ("Longest hold", "95 % interval"),
    ("Holds over the switch interval", "95 % interval"),
    ("Handoffs", "per second of wall"),
    ("Handoff latency", "95th percentile"),
    ("Waiters' wake-ups", "other voluntary switches"),
)
COLUMNS_OF_PROGRAM = (
    ("Program", ""),
    ("GIL wait", "of thread time"),
    ("Longest hold", ""),
    ("Holds over the switch interval", ""),
    *COLUMNS[4:],
)
"""It was run once: no intervals."""
RECORDED = ("gil_hold_longest_ns", "gil_holds_over_interval", "gil_handoffs")
_OF_PROGRAM = "Holds and handoffs of the GIL in its one run."
_OF_SUITE = (
    "From runs of the light captures, the median of the repeats. The GIL wait is that of the workers; the others are "
    "of all threads, the main thread too."
)
_ESTIMATED = "not counted: a wake-up per switch interval that a wait lasted"
_LEGEND = (
    LegendItem(
        mark="hold",
        text="from taking the GIL to giving it up, of holds that ended while a thread waited; Python requests it after "
        "the switch interval, so a longer hold is code that does not react: a C call that keeps the GIL",
    ),
    LegendItem(
        mark="handoff", text="the GIL went to a thread that waited; its latency is from giving it up to having it"
    ),
)


def gil_table(groups: tuple[CellGroup, ...]) -> TableView | None:
    """A row per model at its largest worker count; None where no capture recorded the GIL."""
    notes = Footnotes()
    blocks = tuple(
        RowGroup(
            label=group.label if len(groups) > 1 else "",
            rows=tuple(gil_row(cell, notes) for cell in group.at_most_workers() if _is_recorded(cell)),
        )
        for group in groups
        if any(_is_recorded(cell) for cell in group.at_most_workers())
    )
    if not blocks:
        return None
    of_program = any(cell.family == PROGRAM for group in groups for cell in group.cells)
    used = {field.tag for block in blocks for row in block.rows for field in row.fields}
    texts = {**(TAG_TEXT_OF_PROGRAM if of_program else TAG_TEXT), "est.": _ESTIMATED}
    tags = [LegendItem(mark=tag, text=text) for tag, text in texts.items() if tag in used]
    note = (LegendItem(mark="GIL wait", text=GIL_WAIT_AS_RECORDED),) if of_program else ()
    return TableView(
        title="Holds and handoffs of the GIL",
        caption=_OF_PROGRAM if of_program else _OF_SUITE,
        columns=COLUMNS_OF_PROGRAM if of_program else COLUMNS,
        groups=blocks,
        legend=(*note, *_LEGEND, *tags, *notes.legend()),
    )


def gil_row(cell: ReportCell, notes: Footnotes) -> TableRow:
    """The GIL numbers of one cell."""
    longest, over = cell.best_number("gil_hold_longest_ns"), cell.best_number("gil_holds_over_interval")
    return TableRow(
        family=_family(cell),
        label=cell.heading,
        detail=cell.detail,
        fields=(
            _wait(cell, notes),
            field_of(longest, _interval(cell, longest), notes),
            field_of(over, _interval(cell, over), notes),
            _handoffs(cell, notes),
            _latency(cell, notes),
            _wakes(cell, notes),
        ),
    )


def _interval(cell: ReportCell, number: Number) -> str:
    """Empty for a program: it ran once, which need not stand at every number."""
    return "" if cell.family == PROGRAM else interval_text(number)


def _family(cell: ReportCell) -> str:
    return "plain" if cell.family == PROGRAM else cell.family


def _is_recorded(cell: ReportCell) -> bool:
    """Whether a capture recorded holds or handoffs in its runs."""
    return any(cell.best_number(metric).centre for metric in RECORDED)


def _wait(cell: ReportCell, notes: Footnotes) -> TableField:
    number, _ = gil_wait(cell)
    share = gil_wait_share(cell)
    if not number.available:
        return field_of(number, "", notes)
    return TableField(
        main=value_text(number), sub="" if share is None else range_text(*share, "share"), tag=how(number)
    )


def _handoffs(cell: ReportCell, notes: Footnotes) -> TableField:
    number = cell.best_number("gil_handoffs")
    walls = [each.number("wall_ns").centre for each in (cell, *cell.twins) if number in each.every]
    wall = walls[0] if walls and walls[0] else cell.number("wall_ns").centre
    rate = f"{significant(number.centre / wall * 1e9)}/s" if number.centre is not None and wall else ""
    return field_of(number, rate, notes)


def _wakes(cell: ReportCell, notes: Footnotes) -> TableField:
    wakes, others = cell.best_number("gil_waiter_switches"), cell.best_number("other_voluntary_switches")
    sub = f"others {value_text(others)}" if others.available else ""
    return field_of(wakes, sub, notes)


def _latency(cell: ReportCell, notes: Footnotes) -> TableField:
    number, slow = cell.best_number("gil_handoff_latency_ns"), cell.best_number("gil_handoff_latency_p95_ns")
    sub = f"95 % within {format_ns(slow.centre)}" if slow.available and slow.centre is not None else ""
    return field_of(number, sub, notes)
