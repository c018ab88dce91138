"""Memory over the number of workers, a line per kind of worker; the memory axis logarithmic."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.footprint.page import Held
from tracekit.analysis.report.views import FigureView
from tracekit.core.units import format_bytes

TITLE = "Memory with each further worker"
SLUG = "held"
_LINES = {"threads": "-", "fork": "-", "fork-frozen": (0, (1, 1)), "forkserver": "--", "spawn": ":"}


def figure(seen: Held) -> FigureView:
    """Of one interpreter: what all workers added, while they wait for work."""
    drawn, axes = style.canvas(TITLE, f"{seen.group.label}, PSS beyond that of the program alone", 4.2)
    told = []
    for way in seen.ways():
        points = [(count, value) for count, value in seen.totals(way) if value > 0]
        if not points:
            continue
        counts, values = zip(*points, strict=True)
        family = "threads" if way == "threads" else "processes"
        axes.plot(counts, values, color=style.colour(family), ls=_LINES[way], lw=1.8, marker=".", label=way)
        told.append(f"{way}: {format_bytes(round(values[-1]))} with {counts[-1]}")
    axes.set_yscale("log", base=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(round(value))))
    axes.grid(axis="y", color=style.RULE, lw=0.6)
    axes.set_axisbelow(True)
    drawn.subplots_adjust(left=0.17)
    handles, names = axes.get_legend_handles_labels()
    style.legend(drawn, axes, handles, names)
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Each step of the memory axis is a multiple of the one before. What a line begins with is the first "
        "worker and what comes with it, the fork server say.",
        alt=f"Memory of all workers by their number. {'; '.join(told)}.",
        figure=drawn,
    )
