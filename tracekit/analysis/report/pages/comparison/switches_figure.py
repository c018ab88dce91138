"""Context switches per second of wall: voluntary (a thread waited), involuntary (its CPU was taken)."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tracekit.analysis.report.cells import CellGroup, ReportCell, left_out
from tracekit.analysis.report.figures import point_rows, style
from tracekit.analysis.report.figures.point_rows import of_models
from tracekit.analysis.report.views import FigureView, MissingFigure

TITLE = "Context switches"
SLUG = "context-switches"
VOLUNTARY = "voluntary_switches_per_s"
INVOLUNTARY = "involuntary_switches_per_s"


def figure(group: CellGroup, workload: str) -> FigureView | MissingFigure:
    """One row per model: a filled mark for voluntary, a hollow one for involuntary switches."""
    cells = [cell for cell in group.at_most_workers() if any(_rates(cell).values())]
    if not cells:
        return MissingFigure(title=TITLE, reason=_why_not(group))
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="A thread that waits for the GIL asks again every 5 ms, and each time counts as a voluntary "
        "switch: voluntary does not mean I/O." + left_out(group.at_most_workers(), VOLUNTARY),
        alt=_alt(cells, workload),
        figure=_draw(cells, workload),
    )


def _rates(cell: ReportCell) -> dict[str, float]:
    numbers = {"voluntary": cell.number(VOLUNTARY), "involuntary": cell.number(INVOLUNTARY)}
    return {name: number.centre for name, number in numbers.items() if number.available and number.centre is not None}


def _draw(cells: list[ReportCell], workload: str) -> Figure:
    counts = sorted({cell.number(VOLUNTARY).n for cell in cells})
    subtitle = (
        f"{style.short(workload)}, {of_models(cells)}, n = {'/'.join(str(count) for count in counts)} repeats pooled"
    )
    figure, axes = style.canvas(TITLE, subtitle, 1.62 + 0.42 * len(cells))
    style.rows(figure, axes, [cell.row_label for cell in cells], [style.colour(cell.family) for cell in cells])
    highest = max(max(_rates(cell).values()) for cell in cells)
    logarithmic = highest > 50 * max(1.0, min(min(_rates(cell).values()) for cell in cells))
    if logarithmic:
        # Linear below 1 a second, so that 0 has a place.
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        axes.minorticks_off()
    axes.set_xlim(-0.1 if logarithmic else 0, highest * 1.03)
    for row, cell in enumerate(cells):
        tint = style.colour(cell.family)
        rates = _rates(cell)
        ends = (rates.get("voluntary"), rates.get("involuntary"))
        point_rows.pair(axes, row, *ends, tint, style.marker(cell.start_method), cell.variant)
        text = " / ".join("n/a" if end is None else point_rows.rate_text(end) for end in ends)
        point_rows.text_beside(axes, max(rates.values()), row, text, tint)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(f"switches per second of wall{', logarithmic' if logarithmic else ''}")
    point_rows.key(figure, axes, _NAMES)
    style.make_room_right(figure, 0.77)
    return figure


_NAMES = ("voluntary", "involuntary")


def _alt(cells: list[ReportCell], workload: str) -> str:
    parts = []
    for cell in cells:
        rates = _rates(cell)
        each = [f"{point_rows.rate_text(rates[name])} {name}" for name in _NAMES if name in rates]
        parts.append(f"{cell.counted} {' and '.join(each)}")
    return f"Context switches per second of wall in {workload}: {'; '.join(parts)}."


def _why_not(group: CellGroup) -> str:
    for cell in group.cells:
        reason = cell.number(VOLUNTARY).reason
        if reason:
            return reason
    return "no run is usable"
