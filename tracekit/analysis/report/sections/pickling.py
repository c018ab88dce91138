"""What each process model pays for pickling items and results."""

from __future__ import annotations

from tracekit.analysis.report.cells import Cell, Group
from tracekit.analysis.report.views import Field, Row, RowGroup, TableView
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import format_bytes, format_ns

BYTES, TIME, SHARE = "pickled_bytes", "pickling_ns", "pickling_share"
QUEUE, BETWEEN = "queue_wait_ns", "communication_share"


def pickling_table(groups: tuple[Group, ...]) -> TableView | None:
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
        title="What talking to the workers costs",
        caption="Items and results pickled and unpickled, on both sides, in the warm-up run, without the pool's own "
        "wrapping and the way through the pipe. In the queue: how long the median task waited, all being "
        "submitted at once. Between tasks: the part of the workers' time in which they send results and have no task.",
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


def _is_pool(cell: Cell) -> bool:
    """Threads pickle nothing, and have the rest."""
    return cell.model == "threads" and cell.number(QUEUE).available


def _row(cell: Cell) -> Row:
    tasks = _tasks(cell)
    return Row(
        family=cell.family,
        label=cell.heading,
        detail=cell.detail,
        fields=(
            _each(cell, BYTES, tasks),
            _each(cell, TIME, tasks),
            Field(main=value_text(cell.number(SHARE))),
            Field(main=value_text(cell.number(QUEUE)), sub=interval_text(cell.number(QUEUE))),
            Field(main=value_text(cell.number(BETWEEN)), sub=interval_text(cell.number(BETWEEN))),
        ),
    )


def _each(cell: Cell, metric: str, tasks: int) -> Field:
    number = cell.number(metric)
    if number.value is None or not tasks:
        return Field(main=value_text(number))
    each = number.value / tasks
    return Field(main=value_text(number), sub=format_bytes(each) if number.unit == "bytes" else format_ns(each))


def _tasks(cell: Cell) -> int:
    """As the method says: `counted, 16 tasks`."""
    words = cell.number(BYTES).method.split()
    return next((int(word) for word in words if word.isdigit()), 0)
