"""Memory over the number of workers, a line per kind of worker; the memory axis logarithmic."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.footprint.numbers import FootprintNumbers
from tracekit.analysis.report.views import FigureView
from tracekit.core.units import format_bytes

TITLE = "Memory of all workers"
SLUG = "footprint"
_LINES = {"threads": "-", "fork": "-", "fork-frozen": (0, (1, 1)), "forkserver": "--", "spawn": ":"}


def figure(numbers: FootprintNumbers) -> FigureView:
    """The memory that all workers of one interpreter added, while they wait for work."""
    drawn, axes = style.canvas(TITLE, f"{numbers.group.label}, PSS beyond that of the program alone", 4.2)
    words = []
    for start_method in numbers.start_methods():
        points = [(count, value) for count, value in numbers.totals.get(start_method, ()) if value > 0]
        if not points:
            continue
        counts, values = zip(*points, strict=True)
        family = "threads" if start_method == "threads" else "processes"
        axes.plot(
            counts, values, color=style.colour(family), ls=_LINES[start_method], lw=1.8, marker=".", label=start_method
        )
        words.append(f"{start_method}: {format_bytes(round(values[-1]))} with {counts[-1]}")
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
        caption="Each step of the memory axis is a multiple of the one before. A line begins with the first worker and "
        "what it brings, such as the fork server.",
        alt=f"Memory of all workers by their number. {'; '.join(words)}.",
        figure=drawn,
    )
