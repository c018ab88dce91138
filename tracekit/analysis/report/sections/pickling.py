"""Pickling: the bytes and the time of items and results, under each process model."""

from __future__ import annotations

from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.views import RowGroup, TableField, TableRow, TableView
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import format_bytes, format_ns

BYTES, TIME, SHARE = "pickled_bytes", "pickling_ns", "pickling_share"
QUEUE, BETWEEN = "queue_wait_ns", "communication_share"
_NOTABLE = {SHARE: 0.1, BETWEEN: 0.5}
"""The parts from which on the table is open."""


def pickling_table(groups: tuple[CellGroup, ...]) -> TableView | None:
    """A row per process model at its most workers; None where nothing was counted."""
    several = len(groups) > 1
    found = [
        RowGroup(
            label=group.label if several else "",
            rows=tuple(
                _row(cell) for cell in group.at_most_workers() if cell.number(BYTES).available or _is_pool(cell)
            ),
        )
        for group in groups
    ]
    known = tuple(block for block in found if block.rows)
    if not any(row.family == "processes" for block in known for row in block.rows):
        return None
    return TableView(
        # What costs next to nothing explains nothing.
        closed=all(
            (cell.number(metric).value or 0.0) < notable
            for group in groups
            for cell in group.at_most_workers()
            for metric, notable in _NOTABLE.items()
            if cell.family == "processes"
        ),
        title="Pickling and queueing",
        caption="Items and results pickled and unpickled, on both sides, in the warm-up run, without the pool's own "
        "wrapping and the transfer through the pipe. In the queue: how long the median task waited when all are "
        "submitted at once. Between tasks: the part of the workers' time in which they send results or have no task.",
        columns=(
            ("Model", "workers"),
            ("Pickled", "a task"),
            ("Pickling takes", "a task"),
            ("Of the CPU time", ""),
            ("In the queue", "a task"),
            ("Between tasks", "95 % interval"),
        ),
        groups=known,
        legend=(),
    )


def _is_pool(cell: ReportCell) -> bool:
    """Whether it is a pool of threads, which pickle nothing and have the other numbers."""
    return cell.model == "threads" and cell.number(QUEUE).available


def _row(cell: ReportCell) -> TableRow:
    tasks = _tasks(cell)
    return TableRow(
        family=cell.family,
        label=cell.heading,
        detail=cell.detail,
        fields=(
            _each(cell, BYTES, tasks),
            _each(cell, TIME, tasks),
            TableField(main=value_text(cell.number(SHARE))),
            TableField(main=value_text(cell.number(QUEUE)), sub=interval_text(cell.number(QUEUE))),
            TableField(main=value_text(cell.number(BETWEEN)), sub=interval_text(cell.number(BETWEEN))),
        ),
    )


def _each(cell: ReportCell, metric: str, tasks: int) -> TableField:
    number = cell.number(metric)
    if number.value is None or not tasks:
        return TableField(main=value_text(number))
    each = number.value / tasks
    return TableField(main=value_text(number), sub=format_bytes(each) if number.unit == "bytes" else format_ns(each))


def _tasks(cell: ReportCell) -> int:
    """The number of tasks in the method's text, `counted, 16 tasks`; 0 where it has none."""
    words = cell.number(BYTES).method.split()
    return next((int(word) for word in words if word.isdigit()), 0)
