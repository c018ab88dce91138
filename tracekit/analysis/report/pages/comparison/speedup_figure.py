"""Speed-up against serial: over worker counts as lines, at a single worker count as a list of points."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tracekit.analysis.report.cells import CellGroup, Number, ReportCell, left_out
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.shares import ceiling as ceiling_of
from tracekit.analysis.report.views import FigureView, MissingFigure
from tracekit.analysis.report.wording import interval_text, times
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.core.units import listed, plural

TITLE = "Speed-up against serial"
SLUG = "speedup"


def figure(group: CellGroup, workload: str) -> FigureView | MissingFigure:
    """Every model's speed-up with its interval, the ideal line and the ceiling that the control reached."""
    cells = [cell for cell in group.cells if cell.model != "serial" and cell.number("speedup").available]
    if not cells:
        return MissingFigure(title=TITLE, reason=_why_not(group))
    counts = sorted({cell.workers for cell in cells})
    ceiling = ceilings(cells)
    draw = _over_workers if len(counts) > 1 else _at_one_count
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption=_caption(cells, ceiling) + left_out(group.at_most_workers(), "speedup"),
        alt=_alt(cells, workload, ceiling),
        figure=draw(cells, workload, ceiling),
    )


def ceilings(cells: Sequence[ReportCell]) -> dict[int, float]:
    """worker count -> the speed-up that the control reached there: what the machine can give."""
    reached = {cell.workers: value for cell in cells if (value := ceiling_of(cell)) is not None}
    return dict(sorted(reached.items()))


def _over_workers(cells: list[ReportCell], workload: str, ceiling: dict[int, float]) -> Figure:
    figure, axes = style.canvas(TITLE, _subtitle(cells, workload), 3.8)
    counts = sorted({cell.workers for cell in cells})
    first, last = counts[0], counts[-1]
    ends: list[tuple[float, str, str]] = []
    axes.plot([first, last], [first, last], color=style.MUTED, lw=1, ls=(0, (5, 4)), label="ideal", zorder=1)
    ends.append((float(last), "ideal", style.MUTED))
    shown = {count: ceiling[count] for count in counts if count in ceiling}
    if shown:
        axes.plot(
            list(shown),
            list(shown.values()),
            color=style.INK,
            lw=1.2,
            ls=":",
            # One point makes no line.
            marker="_" if len(shown) == 1 else "",
            ms=14,
            label="ceiling",
            zorder=1,
        )
        ends.append((list(shown.values())[-1], "ceiling", style.INK))
    axes.axhline(1, color=style.RULE, lw=1, zorder=0)
    for variant in dict.fromkeys(cell.variant for cell in cells):
        line = [cell for cell in cells if cell.variant == variant]
        numbers = [cell.number("speedup") for cell in line]
        middle = [number.centre or 0.0 for number in numbers]
        axes.errorbar(
            [cell.workers for cell in line],
            middle,
            yerr=_errors(numbers),
            color=style.colour(line[0].family),
            ls=style.line(line[0].start_method),
            marker=style.marker(line[0].start_method),
            ms=5,
            lw=1.6,
            capsize=3,
            label=variant,
        )
        ends.append((middle[-1], f"{style.short(variant)} {times(middle[-1])}", style.colour(line[0].family)))
    axes.set_xlabel("workers")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xticks(counts)
    # To the upper end of the widest interval: a bar that leaves the picture has no end.
    uppers = [upper for cell in cells if (upper := cell.number("speedup").upper) is not None]
    axes.set_ylim(0, max(last, *(item[0] for item in ends), *uppers) * 1.08)
    axes.set_xlim(first - 0.04 * (last - first), last + 0.02 * (last - first))
    _label_ends(axes, ends, last)
    longest = max(len(text) for _, text, _ in ends)
    figure.subplots_adjust(left=0.105, right=0.955 - 0.0146 * longest)
    return figure


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]], last: int) -> None:
    gap = axes.get_ylim()[1] * 0.068
    places = style.spread([end[0] for end in ends], gap)
    for (_, text, tint), place in zip(ends, places, strict=True):
        axes.annotate(
            text,
            (last, place),
            xytext=(11, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=tint,
            annotation_clip=False,
        )


def _at_one_count(cells: list[ReportCell], workload: str, ceiling: dict[int, float]) -> Figure:
    figure, axes = style.canvas(TITLE, _subtitle(cells, workload), 1.75 + 0.36 * len(cells))
    workers = cells[0].workers
    marks = [(1.0, "serial", style.MUTED, "-"), (float(workers), "ideal", style.MUTED, "--")]
    if workers in ceiling:
        marks.append((ceiling[workers], "ceiling", style.INK, ":"))
    for place, _, tint, dash in marks:
        axes.axvline(place, color=tint, lw=1, ls=dash, zorder=0)
    style.rows(figure, axes, [cell.row_label for cell in cells], [style.colour(cell.family) for cell in cells])
    right = max([place for place, *_ in marks] + [cell.number("speedup").upper or 0 for cell in cells])
    right = max([right, *(cell.number("speedup").centre or 0 for cell in cells)])
    axes.set_xlim(0, right * 1.24)
    for row, cell in enumerate(cells):
        number = cell.number("speedup")
        tint = style.colour(cell.family)
        axes.errorbar(
            [number.centre or 0.0],
            [row],
            xerr=_errors([number]),
            color=tint,
            marker=style.marker(cell.start_method),
            ms=6,
            capsize=3,
            label=cell.variant,
        )
        end = max(number.upper or 0.0, number.centre or 0.0)
        _beside(axes, end, row, times(number.centre or 0.0), tint)
    _label_marks(axes, marks)
    axes.set_xlabel(f"speed-up with {workers} workers (x)")
    figure.subplots_adjust(top=figure.subplotpars.top - 0.22 / figure.get_figheight())
    return figure


def _label_marks(axes: Axes, marks: list[tuple[float, str, str, str]]) -> None:
    places = style.spread([mark[0] for mark in marks], axes.get_xlim()[1] * 0.17)
    for (_, text, tint, _), place in zip(marks, places, strict=True):
        axes.annotate(
            text,
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=tint,
            annotation_clip=False,
        )


def _beside(axes: Axes, x: float, row: int, text: str, tint: str) -> None:
    axes.annotate(
        text,
        (x, row),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=tint,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _errors(numbers: list[Number]) -> list[list[float]]:
    low, high = [], []
    for number in numbers:
        middle = number.centre or 0.0
        lower, upper = number.interval or (middle, middle)
        low.append(max(0.0, middle - lower))
        high.append(max(0.0, upper - middle))
    return [low, high]


def _subtitle(cells: list[ReportCell], workload: str) -> str:
    counts = sorted({cell.number("speedup").n for cell in cells})
    n = listed([str(count) for count in counts])
    bars = "95 % intervals" if any(cell.number("speedup").interval for cell in cells) else "no intervals"
    return f"{style.short(workload)}, paired over n = {n} rounds, {bars}"


def _caption(cells: list[ReportCell], ceiling: dict[int, float]) -> str:
    line = "A model on the line at 1x is no faster than serial."
    if ceiling:
        line += " The ceiling is what a control reached on this machine, whose workers share nothing."
    if any(cell.number("speedup").interval is None for cell in cells):
        line += f" Points without a bar have fewer than {LEAST} repeats."
    return line


def _alt(cells: list[ReportCell], workload: str, ceiling: dict[int, float]) -> str:
    parts = []
    # Per model the largest worker count only: the table has the others.
    for cell in {cell.variant: cell for cell in cells}.values():
        number = cell.number("speedup")
        interval = f" ({interval_text(number)})" if number.interval else ""
        parts.append(f"{cell.counted} {times(number.centre or 0.0)}{interval}")
    text = f"Speed-up of {workload} against serial: {'; '.join(parts)}."
    if ceiling:
        reached = [f"{times(value)} with {plural(workers, 'worker')}" for workers, value in sorted(ceiling.items())]
        text += f" Ceiling measured with a control: {listed(reached)}."
    return text


def _why_not(group: CellGroup) -> str:
    models = [cell for cell in group.cells if cell.model != "serial"]
    if not models:
        return "only serial was run"
    if group.serial is None:
        return "a speed-up needs a serial run, and this suite has none"
    return models[0].number("speedup").reason or "no run is usable"
