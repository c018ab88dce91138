"""Every number of the suite, the unavailable ones with their reason."""

from __future__ import annotations

from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.views import EveryCell, EveryRow
from tracekit.analysis.report.wording import interval_text, range_text, value_text


def every_cell(groups: tuple[CellGroup, ...]) -> tuple[EveryCell, ...]:
    """The cells in reading order: untraced, then traced, then the controls, of one group after the other."""
    return tuple(
        EveryCell(label=_label(cell, group, len(groups) > 1), rows=tuple(_row(item) for item in cell.every))
        for group in groups
        for cell in (*group.cells, *group.traced, *group.controls)
        if cell.every
    )


def _label(cell: ReportCell, group: CellGroup, named: bool) -> str:
    work = " ".join(part for part in (cell.size, cell.parameters) if part)
    parts = [f"{cell.workload} ({work})" if work else cell.workload, cell.counted]
    if cell.capture != "none":
        parts.append(f"capture {cell.capture}")
    if cell.control:
        parts.append("control")
    return " · ".join([*parts, group.label] if named else parts)


def _row(number: Number) -> EveryRow:
    interval = interval_text(number)
    if number.quality == "bound" and number.interval:
        interval = range_text(*number.interval, number.unit)
    return EveryRow(
        metric=number.metric,
        value=value_text(number) if number.quality != "bound" else _middle(number),
        interval=interval if number.interval else "",
        n=str(number.n) if number.n else "",
        quality=number.quality,
        method=number.method,
        reason=number.reason,
    )


def _middle(number: Number) -> str:
    """A bound has no value of its own unless the metric gave one."""
    if number.value is None:
        return ""
    return value_text(
        Number(metric=number.metric, value=number.value, unit=number.unit, quality="measured", n=number.n)
    )
