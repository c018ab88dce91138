"""The observations of a workload that have no dimensions, such as lost updates: a column each, a row per model."""

from __future__ import annotations

from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.views import RowGroup, TableField, TableRow, TableView
from tracekit.analysis.report.wording import interval_text, value_text


def observed_table(groups: tuple[CellGroup, ...]) -> TableView | None:
    """A row per model and worker count; None where the workload observes nothing. Observations with dimensions have
    report pages of their own."""
    plain = [item for group in groups for cell in group.cells for item in cell.observed if not item.has_dimensions]
    names = list(dict.fromkeys(item.what for item in plain))
    if not names:
        return None
    several = len(groups) > 1
    return TableView(
        title="Observations of the workload",
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


def _row(cell: ReportCell, names: list[str]) -> TableRow:
    by_name = {item.what: item for item in cell.observed if not item.has_dimensions}
    return TableRow(
        family=cell.family,
        label=cell.heading,
        detail=cell.detail,
        fields=tuple(
            TableField(main=item.text or value_text(item.number), sub=interval_text(item.number))
            if (item := by_name.get(name))
            else TableField(main="n/a")
            for name in names
        ),
    )


def _heading(what: str) -> str:
    """`updates_lost_share` as `updates lost share`; a duration without its unit, which the values have."""
    return what.removesuffix("_ns").replace("_", " ")
