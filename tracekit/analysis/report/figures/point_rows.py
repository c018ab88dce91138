"""Rows of points on one axis, as the figures of start costs, context switches and walls have them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tracekit.analysis.report.cells import ReportCell
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.wording import workers_text
from tracekit.core.units import TIME_STEPS, format_ns, significant


def pair(axes: Axes, row: float, filled: float | None, hollow: float | None, tint: str, shape: str, label: str) -> None:
    """Two numbers of one row as a filled and a hollow mark with a line between them; either may be missing."""
    ends = [end for end in (filled, hollow) if end is not None]
    axes.plot(ends, [row] * len(ends), color=tint, lw=1.4, alpha=0.5, zorder=2, label="_between")
    for end, fill, name in ((hollow, "white", "hollow"), (filled, tint, "filled")):
        if end is not None:
            axes.plot(
                [end],
                [row],
                ls="none",
                marker=shape,
                ms=7,
                mfc=fill,
                mec=tint,
                mew=1.5,
                zorder=3,
                label=f"{label}, {name}",
                clip_on=False,
            )


def text_beside(axes: Axes, x: float, row: float, text: str, tint: str) -> None:
    """Values written right of a mark."""
    axes.annotate(
        text,
        (x, row),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=tint,
        annotation_clip=False,
    )


def wall_axis(axes: Axes, longest_ns: float) -> None:
    """A linear x axis of nanoseconds from 0, in the one unit that suits its longest value."""
    step, unit = next((item for item in TIME_STEPS if longest_ns >= item[0]), TIME_STEPS[-1])
    axes.set_xlim(0, longest_ns * 1.04)
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(0, longest_ns / step)
    axes.set_xticks([tick * step for tick in ticks if tick * step <= longest_ns * 1.04])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / step:g}"))
    axes.set_xlabel(f"wall ({unit})")


def log_time_axis(axes: Axes, low_ns: float, high_ns: float) -> None:
    """A logarithmic x axis of nanoseconds, a tick with its unit at each power of ten."""
    axes.set_xscale("log")
    axes.set_xlim(low_ns, high_ns)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round_time(value)))
    axes.set_xlabel("time, logarithmic")


def rate_text(value: float) -> str:
    """Events per second, three digits at most: `0`, `3.2`, `185`, `12,300`."""
    return significant(value, 2) if abs(value) < 10 else f"{value:,.0f}"


def key(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Say between subtitle and rows what a filled and a hollow mark are."""
    marks = [
        Line2D([], [], ls="none", marker="o", ms=6.5, mfc=fill, mec=style.MUTED, mew=1.4)
        for fill in (style.MUTED, "white")
    ]
    style.legend(figure, axes, marks, names)


def of_models(cells: Sequence[ReportCell]) -> str:
    """How many workers the rows had, serial aside."""
    counts = [cell.workers for cell in cells if cell.family != "serial"]
    return workers_text(counts) if counts else "serial"


def _round_time(value: float) -> str:
    """`10.0 ms` as `10 ms`: a tick is exact."""
    number, _, unit = format_ns(value).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"
