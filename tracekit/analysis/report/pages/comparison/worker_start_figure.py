"""The cost of workers: from the request to the first instruction, and the end of all workers."""

from __future__ import annotations

from matplotlib.figure import Figure

from tracekit.analysis.report.cells import CellGroup, ReportCell, left_out
from tracekit.analysis.report.figures import point_rows, style
from tracekit.analysis.report.views import FigureView, MissingFigure
from tracekit.analysis.report.wording import interval_text, value_text, workers_text
from tracekit.core.units import format_ns

TITLE = "Start of a worker"
SLUG = "worker-start"
FIRST = "spawn_first_instruction_ns"
END = "teardown_ns"


def figure(groups: tuple[CellGroup, ...], workload: str) -> FigureView | MissingFigure:
    """One row per model that starts workers, of every operating system and interpreter; logarithmic."""
    rows = [(group, cell) for group in groups for cell in group.at_most_workers() if _starts(cell)]
    if not rows:
        return MissingFigure(title=TITLE, reason=_why_not(groups))
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Each step of the axis is ten times the one before. What the worker's main module imports is "
        "part of the cost of spawn and forkserver." + left_out(_starting(groups), FIRST),
        alt=_alt(rows, len(groups) > 1),
        figure=_draw(rows, workload, len(groups) > 1),
    )


def _starting(groups: tuple[CellGroup, ...]) -> list[ReportCell]:
    return [cell for group in groups for cell in group.at_most_workers() if cell.family != "serial"]


def _starts(cell: ReportCell) -> bool:
    return cell.family != "serial" and (cell.number(FIRST).centre or 0) > 0


def _draw(rows: list[tuple[CellGroup, ReportCell]], workload: str, named: bool) -> Figure:
    counts = sorted({cell.number(FIRST).n for _, cell in rows})
    workers = workers_text(cell.workers for _, cell in rows)
    n = "/".join(str(count) for count in counts)
    subtitle = f"{style.short(workload)}, {workers}, median of n = {n} repeats"
    figure, axes = style.canvas(TITLE, subtitle, 1.62 + (0.52 if named else 0.4) * len(rows))
    labels = [f"{cell.variant}\n{group.label}" if named else cell.row_label for group, cell in rows]
    style.rows(figure, axes, labels, [style.colour(cell.family) for _, cell in rows])
    pairs = [(cell.number(FIRST).centre or 1.0, _end(cell)) for _, cell in rows]
    ends = [end for pair in pairs for end in pair if end is not None]
    for row, ((_, cell), (start, end)) in enumerate(zip(rows, pairs, strict=True)):
        tint = style.colour(cell.family)
        point_rows.pair(axes, row, start, end, tint, style.marker(cell.start_method), cell.variant)
        text = value_text(cell.number(FIRST))
        if end is not None:
            text += f" / {format_ns(end)}"
        point_rows.text_beside(axes, max(start, end or start), row, text, tint)
    point_rows.log_time_axis(axes, min(ends) / 1.6, max(ends) * 1.6)
    point_rows.key(figure, axes, ("start of a worker", "end of all workers"))
    style.make_room_right(figure, 0.73)
    return figure


def _end(cell: ReportCell) -> float | None:
    number = cell.number(END)
    return number.centre if number.available and (number.centre or 0) > 0 else None


def _alt(rows: list[tuple[CellGroup, ReportCell]], named: bool) -> str:
    parts = []
    for group, cell in rows:
        first, end = cell.number(FIRST), cell.number(END)
        where = f" on {group.label}" if named else ""
        text = interval_text(first) if first.interval and first.quality != "bound" else ""
        interval = f" ({text})" if text else ""
        total = f", end of all workers {value_text(end)}" if end.available else ""
        parts.append(f"{cell.counted}{where} {value_text(first)}{interval}{total}")
    return f"Time from the request to a worker's first instruction: {'; '.join(parts)}."


def _why_not(groups: tuple[CellGroup, ...]) -> str:
    for group in groups:
        for cell in group.cells:
            if cell.family != "serial":
                return cell.number(FIRST).reason or "no start was stamped"
    return "only serial was run, which starts no worker"
