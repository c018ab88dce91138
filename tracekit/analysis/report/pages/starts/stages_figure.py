"""The cost of a worker as stacked bars: a bar per kind of start, its stages from left to right, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from tracekit.analysis.metrics.startup.stages import LIFE, RECORDING, STAGES, metric_name
from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.starts.stages import TITLES, staged_cell, started_cells, varying_parameters
from tracekit.analysis.report.views import FigureView
from tracekit.analysis.report.wording import value_text
from tracekit.core.units import format_ns

TITLE = "Cost of a worker, stage by stage"
SLUG = "spawn-stages"

StartBar = tuple[ReportCell, bool]
"""A cell, and whether it is about the first start."""


def figure(group: CellGroup) -> FigureView | None:
    """None where no stage is known."""
    cells = [staged_cell(cell) for cell in started_cells(group)]
    bars = [(cell, cold) for cell in cells for cold in (False, True) if _parts(cell, cold=cold)]
    if not bars:
        return None
    counts = sorted({cell.number(metric_name(LIFE, cold=cold)).n for cell, cold in bars})
    subtitle = f"{group.label}, n = {'/'.join(map(str, counts))} starts"
    drawn, axes = style.canvas(
        TITLE, subtitle, 2.3 + (0.42 if any(varying_parameters(cells).values()) else 0.3) * len(bars)
    )
    which = varying_parameters(cells)
    labels = [
        f"{cell.model.replace('-', ' ')}{', first' if cold else ''}{f'{chr(10)}{which[cell]}' if which[cell] else ''}"
        for cell, cold in bars
    ]
    style.rows(drawn, axes, labels, [style.colour(cell.family) for cell, _ in bars])
    style.make_room_right(drawn, 0.84)
    longest = max(sum(_parts(cell, cold=cold).values()) for cell, cold in bars)
    for row, (cell, cold) in enumerate(bars):
        end = _draw(axes, row, _parts(cell, cold=cold))
        whole = value_text(cell.number(metric_name(LIFE, cold=cold)))
        axes.text(end + longest * 0.012, row, whole, va="center", fontsize=9, clip_on=False)
    axes.set_xlim(0, longest * 1.02)
    axes.set_xlabel("ms from the request to the join", loc="right")
    handles, names = axes.get_legend_handles_labels()
    order = sorted(zip(names, handles, strict=True), key=lambda item: list(TITLES.values()).index(item[0]))
    style.legend(drawn, axes, [handle for _, handle in order], [name for name, _ in order])
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="The stages in their order, each the mean over the middle half of the starts. They sum to the number "
        f"beside the bar{', with the cost of the stage probe' if list(started_cells(group)) != cells else ''}.",
        alt=f"{TITLE}. {'; '.join(_words(bar) for bar in bars)}.",
        figure=drawn,
    )


def _parts(cell: ReportCell, *, cold: bool) -> dict[str, float]:
    """Stage -> its median in ms; empty where a stage is not known, for the rest would be no whole."""
    numbers = {name: cell.number(metric_name(name, cold=cold)) for name in STAGES if name != RECORDING}
    own = {name: number for name, number in numbers.items() if any(item is number for item in cell.every)}
    if not own or not all(number.available for number in own.values()):
        return {}
    return {name: (number.value or 0.0) / 1e6 for name, number in own.items()}


def _draw(axes: Axes, row: int, parts: dict[str, float]) -> float:
    left = 0.0
    for name in STAGES:
        length = parts.get(name, 0.0)
        known = TITLES[name] in axes.get_legend_handles_labels()[1]
        if name in parts:
            axes.barh(
                row,
                length,
                left=left,
                height=0.7,
                color=style.STAGE_COLOURS[name],
                edgecolor="white",
                lw=0.3,
                label=f"_{name}" if known else TITLES[name],
            )
        left += length
    return left


def _words(bar: StartBar) -> str:
    cell, cold = bar
    parts: Sequence[tuple[str, float]] = sorted(_parts(cell, cold=cold).items(), key=lambda item: -item[1])[:3]
    longest = ", ".join(f"{TITLES[name]} {format_ns(length * 1e6)}" for name, length in parts)
    which = "first start" if cold else "later start"
    return f"{cell.variant}, {which}: {value_text(cell.number(metric_name(LIFE, cold=cold)))}, of which {longest}"
