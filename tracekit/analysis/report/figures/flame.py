"""Wait time as a flame graph with its root on top: process, thread, function, and what was waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracekit.analysis.metrics.ledger.parts import GIL, PART_OF_KIND
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.ledger import NAMES
from tracekit.analysis.report.views import FigureView, FlameFrame
from tracekit.core.units import format_ns

TITLE = "Where threads waited, and for what"
SLUG = "wait-flame"
_LEVEL = "#eceff2"
_EDGE = "white"
_LEAST_DRAWN = 0.001
"""Part of the width below which a box would be less than a pixel."""
_CHARACTER = 0.0128
"""Width of a character of the labels, as a part of the axes: DejaVu Sans at 7.5 points in 4.7 inches."""
_MOST_IN_ALT = 6


@dataclass(slots=True)
class Node:
    """A frame of the stacks: its own name, the time in it, and what lies below."""

    name: str
    ns: int = 0
    below: dict[str, Node] = field(default_factory=dict)


class Box(NamedTuple):
    """A node in its place: left edge and width as parts of the whole, level 0 on top."""

    node: Node
    left: float
    width: float
    level: int


def figure(lines: Sequence[str], what: str) -> FigureView | None:
    """From collapsed stacks, `process;thread;function;[kind] microseconds`; None where nothing was waited for."""
    root = tree(lines)
    if not root.ns:
        return None
    boxes = list(placed(root))
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Widths are waited time, summed over threads; read from the top: process, thread, function, what for. "
        "Idle waits are left out.",
        alt=_alt(root, lines),
        figure=_draw(boxes, what),
        frames=tuple(_frame(box) for box in boxes),
        legend=tuple((style.STATE_COLOURS[part], NAMES[part]) for part in _shown(boxes)),
    )


def _frame(box: Box) -> FlameFrame:
    return FlameFrame(
        name=box.node.name,
        time=format_ns(box.node.ns),
        left=box.left,
        width=box.width,
        level=box.level,
        colour=colour(box.node.name),
        ink=style.STATE_TEXT.get(_part(box.node.name), style.INK),
    )


def _shown(boxes: Sequence[Box]) -> list[str]:
    """The parts of the ledger that the boxes have."""
    return [part for part in dict.fromkeys(_part(box.node.name) for box in boxes) if part]


def tree(lines: Sequence[str]) -> Node:
    """The stacks as one tree; a line that is no stack is left out."""
    root = Node("all waits")
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if not stack or not number.isdigit():
            continue
        ns = int(number) * 1000
        node = root
        node.ns += ns
        for name in stack.split(";"):
            node = node.below.setdefault(name, Node(name))
            node.ns += ns
    return root


def placed(root: Node) -> Iterator[Box]:
    """Every node wide enough to see, a parent before its children, the largest child left."""
    waiting = [Box(root, 0.0, 1.0, 0)]
    while waiting:
        box = waiting.pop()
        yield box
        left = box.left
        for node in sorted(box.node.below.values(), key=lambda node: (-node.ns, node.name)):
            width = node.ns / root.ns
            if width >= _LEAST_DRAWN:
                waiting.append(Box(node, left, width, box.level + 1))
            left += width


def colour(name: str) -> str:
    """Of a frame: that of the ledger's part for a kind of wait, pale for all others."""
    if not name.startswith("["):
        return _LEVEL
    if name.startswith("[gil wait"):
        return style.STATE_COLOURS[GIL]
    part = PART_OF_KIND.get(name.strip("[]").removeprefix("idle "))
    return _LEVEL if part is None else style.STATE_COLOURS[part]


def _draw(boxes: list[Box], what: str) -> Figure:
    levels = max(box.level for box in boxes) + 1
    figure, axes = style.canvas(TITLE, what, 1.05 + 0.32 * levels)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(levels, 0)
    for box in boxes:
        _box(axes, box)
    shown = _shown(boxes)
    handles = [axes.barh([-9], [0], color=style.STATE_COLOURS[part]) for part in shown]
    style.legend(figure, axes, handles, [NAMES[part] for part in shown])  # type: ignore[arg-type]
    axes.set_ylim(levels, 0)
    figure.subplots_adjust(left=0.006, right=0.994, bottom=0.06 / figure.get_figheight())
    return figure


def _box(axes: Axes, box: Box) -> None:
    tint = colour(box.node.name)
    axes.barh(
        box.level + 0.5,
        box.width,
        left=box.left,
        height=0.94,
        color=tint,
        edgecolor=_EDGE,
        lw=0.5 if box.width > 0.004 else 0.0,
        label=f"_{box.node.name}",
    )
    room = int(box.width / _CHARACTER) - 1
    if room < 4:
        return
    text = _words(box, room)
    axes.text(
        box.left + 0.5 * _CHARACTER,
        box.level + 0.52,
        text,
        fontsize=7.5,
        va="center",
        color=style.STATE_TEXT.get(_part(box.node.name), style.INK),
        clip_on=True,
    )


def _words(box: Box, room: int) -> str:
    """The frame's name with its time where both fit, else as much of the name as fits."""
    name = box.node.name
    if name.startswith("["):
        # The colour says that it is the GIL.
        name = name.strip("[]").removeprefix("gil wait ").removeprefix("held by ")
    time = format_ns(box.node.ns)
    return f"{name} · {time}" if len(name) + len(time) + 3 <= room else style.short(name, room)


def _part(name: str) -> str:
    if name.startswith("[gil wait"):
        return GIL
    return PART_OF_KIND.get(name.strip("[]").removeprefix("idle "), "") if name.startswith("[") else ""


def _alt(root: Node, lines: Sequence[str]) -> str:
    largest = [line.rpartition(" ") for line in lines[:_MOST_IN_ALT]]
    parts = [f"{format_ns(int(number) * 1000)} in {stack.replace(';', ', ')}" for stack, _, number in largest if stack]
    return f"Waits of {format_ns(root.ns)} in all by stack, the longest: {'; '.join(parts)}."
