"""The end of a report: every number of the suite, and how each metric is obtained."""

from __future__ import annotations

from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import load_metric
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.ledger import PARTS
from tracekit.analysis.report.views import EveryCell, EveryRow, MethodView
from tracekit.analysis.report.wording import interval_text, range_text, value_text

FIRST = (
    "wall_ns",
    "speedup",
    "ceiling_share",
    "gil_wait_ns",
    "gil_wait_share",
    "spawn_first_instruction_ns",
    "teardown_ns",
    "cpu_ns",
    "probe_effect",
)
"""The metrics that the tables show; the others are folded away."""

OF_PROGRAMS = (
    "wall_ns",
    "cpu_ns",
    "gil_wait_ns",
    "gil_wait_share",
    *PARTS,
    "voluntary_switches",
    "involuntary_switches",
)
"""The same of a recorded program."""


def methods(groups: tuple[CellGroup, ...], first: tuple[str, ...] = FIRST) -> tuple[MethodView, ...]:
    """One entry per metric of the suite, in the order of the metrics table. `first`: the metrics that the tables show.

    A metric that is not registered (its rows came from elsewhere) has only the methods its rows name.
    """
    used: dict[str, dict[str, None]] = {}
    for group in groups:
        for cell in (*group.cells, *group.traced, *group.controls):
            for number in cell.every:
                names = used.setdefault(number.metric, {})
                if number.method:
                    names[number.method] = None
    return tuple(_method_view(metric, list(names), first=metric in first) for metric, names in used.items())


def _method_view(metric: str, names: list[str], *, first: bool) -> MethodView:
    if metric not in METRICS:
        return MethodView(metric=metric, summary="", method="", here="; ".join(names), first=first)
    known = load_metric(metric)
    return MethodView(
        metric=metric,
        summary=known.summary,
        method=known.method,
        here="; ".join(names),
        first=first,
    )


def every_cell(groups: tuple[CellGroup, ...]) -> tuple[EveryCell, ...]:
    """The cells in reading order: of each group the untraced ones, the traced ones, the controls."""
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
    """The value of a bound, which is empty unless the metric gave one."""
    if number.value is None:
        return ""
    return value_text(
        Number(metric=number.metric, value=number.value, unit=number.unit, quality="measured", n=number.n)
    )
