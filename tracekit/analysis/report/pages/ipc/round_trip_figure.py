"""Round trips over the size of the message, a line per channel; both axes logarithmic."""

from __future__ import annotations

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.ipc import page as ipc
from tracekit.analysis.report.views import FigureView
from tracekit.analysis.report.wording import value_text
from tracekit.core.units import format_bytes, format_ns

TITLE = "There and back"
SLUG = "round-trips"
_COLOURS = ("#c2410c", "#0067a5", "#56b4e9", "#00795c", "#a8447f", "#5b6770", "#8a6500", "#3f3f8f", "#e69f00")
_MARKERS = "oDs^vPXdp"


def figure(talk: ipc.Talk) -> FigureView:
    """One interpreter's round trips."""
    sizes = talk.sizes()
    drawn, axes = style.canvas(TITLE, f"{talk.group.label}, median of the repeats", 4.6)
    told = []
    ends = []
    for number, channel in enumerate(talk.channels(ipc.ROUND_TRIP)):
        found = [(size, item) for size in sizes if (item := talk.get(channel, size, ipc.ROUND_TRIP)) and item.value]
        points = [(size, item.value or 0.0) for size, item in found]
        axes.plot(
            [size for size, _ in points],
            [value for _, value in points],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            ms=5,
            lw=1.4,
            label=channel,
        )
        ends += [value for _, value in points]
        words = ", ".join(f"{format_bytes(size)} {value_text(item)}" for size, item in found)
        told.append(f"{channel}: {words}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(min(ends) / 1.5, max(ends) * 1.5)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(round(value)).replace(".00", "")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_ns(value).replace(".0 ", " ")))
    axes.grid(axis="y", color=style.RULE, lw=0.6)
    axes.set_axisbelow(True)
    drawn.subplots_adjust(left=0.16)
    handles, names = axes.get_legend_handles_labels()
    style.legend(drawn, axes, handles, names)
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Each step of an axis is a multiple of the one before. What climbs with the size copies the bytes.",
        alt=f"Round trip by size of the message. {'; '.join(told)}.",
        figure=drawn,
    )
