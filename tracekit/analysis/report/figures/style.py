"""The style of every figure: one constant colour per model, direct labels, few lines.

The colours are Okabe and Ito's, darkened until text in them reads on white; start methods differ in marker
and line, never in colour alone. Figures are 4.8 inches wide so that their text can be read on a telephone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

WIDTH_IN = 4.8
DPI = 200

INK = "#1f2933"
MUTED = "#5b6770"
RULE = "#d5dbe0"

FAMILY_COLOURS = {
    "serial": "#5b6770",
    "threads": "#c2410c",
    "processes": "#0067a5",
    "interpreters": "#00795c",
    "asyncio": "#a8447f",
    "dask": "#8a6500",
}
OTHER_FAMILY = "#3f3f8f"

STATE_COLOURS = {
    "thread_on_cpu_ns": "#33475b",
    "thread_gil_wait_ns": "#c75000",
    "thread_lock_wait_ns": "#e69f00",
    "thread_io_wait_ns": "#0072b2",
    "thread_poll_ns": "#56b4e9",
    "thread_sleep_ns": "#cc79a7",
    "thread_child_wait_ns": "#00845f",
    "thread_run_queue_ns": "#f0e442",
    "thread_steal_ns": "#b08d57",
    "thread_task_blocked_ns": "#f4b982",
    "thread_idle_ns": "#e3e8ec",
    "unattributed_ns": "#ffffff",
}
"""One colour per part of a ledger, also for a wait of that kind in the other figures: Okabe and Ito's, those with white
text on them darkened."""

STAGE_COLOURS = {
    "exec": "#8a8f98",
    "image": "#33475b",
    "interpreter": "#0072b2",
    "site": "#56b4e9",
    "fork": "#5b6770",
    "imports": "#c75000",
    "main": "#e69f00",
    "unpickle": "#f4b982",
    "bootstrap": "#00845f",
    "task": "#8fd0b5",
    "result": "#cc79a7",
    "stop": "#b08d57",
    "exit": "#a8447f",
    "join": "#d9a5c3",
}
"""One colour per stage of a worker's start and end."""

STATE_HATCHES = {
    "thread_run_queue_ns": "....",
    "thread_steal_ns": "xxxx",
    "thread_task_blocked_ns": "\\\\\\\\",
    "unattributed_ns": "////",
}
"""Parts that would look like their neighbours in a grey print."""

STATE_TEXT = dict.fromkeys(
    ("thread_on_cpu_ns", "thread_gil_wait_ns", "thread_io_wait_ns", "thread_child_wait_ns"), "white"
)
"""The colour of text on a part, where it is not INK."""

_MARKERS = {"": "o", "fork": "o", "forkserver": "s", "spawn": "D"}
_LINES = {"": "-", "fork": "-", "forkserver": "--", "spawn": ":"}

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
}


def colour(family: str) -> str:
    """The model's colour, the same in every picture and in the tables."""
    return FAMILY_COLOURS.get(family, OTHER_FAMILY)


def marker(start_method: str) -> str:
    return _MARKERS.get(start_method, "o")


def line(start_method: str) -> str:
    return _LINES.get(start_method, "-")


def canvas(title: str, subtitle: str, height_in: float) -> tuple[Figure, Axes]:
    """An empty figure with its title and subtitle above one axes that has only the rules it needs."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=3, width=0.8)
        inch = 1 / height_in
        figure.text(0.004, 1 - 0.09 * inch, title, ha="left", va="top", fontsize=12, fontweight="bold")
        figure.text(0.004, 1 - 0.33 * inch, subtitle, ha="left", va="top", fontsize=9.5, color=MUTED)
        lines = subtitle.count("\n") + 1
        figure.subplots_adjust(top=1 - (0.46 + 0.165 * lines) * inch, bottom=0.52 * inch, left=0.12, right=0.96)
    return figure, axes


def rows(figure: Figure, axes: Axes, labels: Sequence[str], colours: Sequence[str]) -> None:
    """Make the axes a list of rows, first on top: the labels on the left in the colours of their models."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), ["\n".join(map(short, label.split("\n"))) for label in labels])
    axes.tick_params(axis="y", length=0, pad=9)
    axes.spines["left"].set_visible(False)
    for text, tint in zip(axes.get_yticklabels(), colours, strict=True):
        text.set_color(tint)
        text.set_parse_math(False)
    widest = max((text.get_window_extent().width for text in axes.get_yticklabels()), default=0.0)
    figure.subplots_adjust(left=0.045 + widest / figure.bbox.width)


def short(name: str, most: int = 26) -> str:
    """A name cut to what a figure has room for."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _as_written(figure: Figure) -> None:
    """Turn off mathematics in texts: a dollar sign in the name of a workload is a dollar sign."""
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)


def lower_top(figure: Figure, inches: float) -> None:
    """Leave that much more room between the subtitle and the axes."""
    figure.subplots_adjust(top=figure.subplotpars.top - inches / figure.get_figheight())


def change_height(figure: Figure, inches: float) -> None:
    """Add that much to, or take it from, the bottom; what stands above keeps its place and size."""
    before = figure.get_figheight()
    after = before + inches
    top, bottom = (1 - figure.subplotpars.top) * before, figure.subplotpars.bottom * before + inches
    figure.set_figheight(after)
    figure.subplots_adjust(top=1 - top / after, bottom=bottom / after)
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((x, 1 - (1 - y) * before / after))


def make_room_right(figure: Figure, right: float) -> None:
    """End the axes at that part of the figure's width, so that text fits beside it."""
    figure.subplots_adjust(right=right)


def legend(figure: Figure, axes: Axes, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """A legend in reading order right under the subtitle, three names to a line; makes its own room."""
    lines = -(-len(names) // 3)
    lower_top(figure, 0.04 + 0.2 * lines)
    top = figure.subplotpars.top + (0.1 + 0.2 * lines) / figure.get_figheight()
    # matplotlib fills columns first: order the names so that they read along the lines.
    order = [index for column in range(min(3, len(names))) for index in range(column, len(names), 3)]
    axes.legend(
        [handles[index] for index in order],
        [names[index] for index in order],
        loc="upper left",
        bbox_to_anchor=(0.0, top),
        bbox_transform=figure.transFigure,
        ncols=min(3, len(names)),
        frameon=False,
        fontsize=9.5,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.15,
    )


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """The same positions moved apart until neighbours are `gap` apart, as little as that takes; order is kept."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    blocks: list[tuple[float, list[int]]] = []
    for index in order:
        blocks.append((positions[index], [index]))
        # Two blocks that touch become one, centred on the mean of its members.
        while (
            len(blocks) > 1
            and blocks[-1][0] - blocks[-2][0] < gap * (len(blocks[-1][1]) + len(blocks[-2][1])) / 2 - 1e-12
        ):
            members = blocks[-2][1] + blocks[-1][1]
            blocks[-2:] = [(sum(positions[item] for item in members) / len(members), members)]
    moved = [0.0] * len(positions)
    for centre, members in blocks:
        for place, index in enumerate(members):
            moved[index] = centre + (place - (len(members) - 1) / 2) * gap
    return moved


def png(figure: Figure) -> bytes:
    """The figure as a PNG, without a date or a version in it: equal data give equal bytes."""
    _as_written(figure)
    buffer = io.BytesIO()
    with mpl.rc_context(_RC):
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def fields(figure: Figure, axes: Axes, columns: Sequence[str], rows: int, size: float) -> None:
    """Make the axes a grid of that many rows, the first on top, with the slanted names of its columns beneath, and the
    figure as high as these need; `size` is that of the names."""
    axes.tick_params(axis="both", length=0, pad=2, colors=INK, labelsize=size)
    axes.set_xticks(range(len(columns)), list(columns), rotation=38, ha="right")
    axes.set_xticks([number - 0.5 for number in range(len(columns) + 1)], minor=True)
    axes.set_yticks([number - 0.5 for number in range(rows + 1)], minor=True)
    axes.grid(which="minor", color=RULE, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylim(rows - 0.5, -0.5)
    lowest = min(text.get_window_extent().y0 for text in axes.get_xticklabels())
    needed = (axes.get_window_extent().y0 - lowest) / figure.dpi + 0.08
    change_height(figure, needed - figure.subplotpars.bottom * figure.get_figheight())
