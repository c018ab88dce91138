"""What the workload found out about itself, a column for each observation: who saw a write, what was lost, how late."""

from __future__ import annotations

from tracekit.analysis.metrics.cells.observed import PREFIX
from tracekit.analysis.report.cells import Cell, Group
from tracekit.analysis.report.views import Field, Row, RowGroup, TableView
from tracekit.analysis.report.wording import interval_text, value_text


def observed_table(groups: tuple[Group, ...]) -> TableView | None:
    """A row per model and worker count; None where the workload observes nothing. What it observes of many cases, each
    with a name of its own (`Pool-fork.sigkill.noticed_ns`), is not for this table: see faults.py."""
    names = list(
        dict.fromkeys(
            number.metric
            for group in groups
            for cell in group.cells
            for number in cell.every
            if number.metric.startswith(PREFIX) and "." not in number.metric[len(PREFIX) :]
        )
    )
    if not names:
        return None
    several = len(groups) > 1
    return TableView(
        title="What the workload observed",
        caption="Counted by the workload itself, in the untraced runs; median of the repeats.",
        columns=(("Model", "workers"), *((_heading(name), "95 % interval") for name in names)),
        groups=tuple(
            RowGroup(
                label=group.label if several else "",
                rows=tuple(_row(cell, names) for cell in sorted(group.cells, key=lambda cell: cell.order)),
            )
            for group in groups
        ),
        legend=(),
    )


def _row(cell: Cell, names: list[str]) -> Row:
    numbers = [cell.number(name) for name in names]
    return Row(
        family=cell.family,
        label=cell.heading,
        detail=cell.detail,
        fields=tuple(
            Field(main=value_text(number), sub=interval_text(number) if number.available else "") for number in numbers
        ),
    )


def _heading(metric: str) -> str:
    """`updates_lost_share` as `updates lost share`; a duration without its unit, which the values have."""
    return metric[len(PREFIX) :].removesuffix("_ns").replace("_", " ")
