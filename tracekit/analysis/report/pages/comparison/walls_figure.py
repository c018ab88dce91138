"""The wall of every repeat as a point, with their median."""

from __future__ import annotations

from statistics import median

from matplotlib.figure import Figure

from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.figures import point_rows, style
from tracekit.analysis.report.figures.point_rows import of_models
from tracekit.analysis.report.views import FigureView, MissingFigure
from tracekit.analysis.report.wording import range_text
from tracekit.core.units import format_ns

TITLE = "Wall time, every repeat"
SLUG = "walls"


def figure(group: CellGroup, workload: str) -> FigureView | MissingFigure:
    """One row per model: a point for every untraced repeat, a tick at their median; from 0."""
    cells = [cell for cell in group.at_most_workers() if cell.walls_ns]
    if not cells:
        return MissingFigure(title=TITLE, reason="no untraced run is usable")
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Points are single runs, made in turn so that a slow minute of the machine affects every model; "
        "the tick is their median.",
        alt=_alt(cells, workload),
        figure=_draw(cells, workload),
        closed=True,
    )


def _draw(cells: list[ReportCell], workload: str) -> Figure:
    counts = sorted({len(cell.walls_ns) for cell in cells})
    subtitle = f"{style.short(workload)}, {of_models(cells)}, untraced, n = {'/'.join(str(count) for count in counts)}"
    figure, axes = style.canvas(TITLE, subtitle, 1.35 + 0.42 * len(cells))
    style.rows(figure, axes, [cell.row_label for cell in cells], [style.colour(cell.family) for cell in cells])
    point_rows.wall_axis(axes, max(max(cell.walls_ns) for cell in cells))
    for row, cell in enumerate(cells):
        tint = style.colour(cell.family)
        middle = median(cell.walls_ns)
        shape = style.marker(cell.start_method)
        # Stacked in the order they were run, so that equal walls stay apart.
        step = 0.44 / max(1, len(cell.walls_ns) - 1)
        heights = [row - 0.22 + index * step for index in range(len(cell.walls_ns))]
        axes.plot(
            cell.walls_ns,
            heights,
            ls="none",
            marker=shape,
            ms=5,
            mfc=tint,
            mec="white",
            mew=0.6,
            label=cell.variant,
        )
        axes.plot([middle, middle], [row - 0.34, row + 0.34], color=style.INK, lw=1.6, label="_median")
        axes.text(1.02, row, format_ns(middle), transform=axes.get_yaxis_transform(), va="center", fontsize=9.5)
    style.make_room_right(figure, 0.855)
    return figure


def _alt(cells: list[ReportCell], workload: str) -> str:
    parts = [
        f"{cell.counted} median {format_ns(median(cell.walls_ns))}, "
        f"{len(cell.walls_ns)} runs: {range_text(min(cell.walls_ns), max(cell.walls_ns), 'ns')}"
        for cell in cells
    ]
    return f"Wall of every untraced run of {workload}: {'; '.join(parts)}."
