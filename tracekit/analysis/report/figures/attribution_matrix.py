"""The blame matrix as a heat map: waiters down the side, holders along the bottom."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tracekit.analysis.metrics.ledger.parts import GIL
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.sections.contention_attribution import NOBODY, OTHERS, BlameView, Who
from tracekit.analysis.report.views import FigureView
from tracekit.core.units import format_ns

TITLE = "Who waited for the GIL, and who held it"
SLUG = "blame"
_ROWS, _COLUMNS = 8, 5
_BELOW = 0.8
"""Inches that are first kept for the names of the holders."""
_DEEPEST = 0.75
"""How much of the colour the longest wait has: on all of it dark text could not be read."""
_LEAST_SHOWN = 0.005
"""Part of a waiter's wait below which a field is left empty."""


def figure(view: BlameView, what: str) -> FigureView:
    """A field per waiter and holder: the wait, and beneath it the part of this waiter's wait. `what` names the run."""
    waiters, holders, matrix = _matrix(view)
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Each row is a thread in a function that waited; each column who held the GIL meanwhile, in the "
        f"function in which it gave it up. By {view.method}.{_left_out(waiters, holders)}",
        alt=_alt(waiters, holders, matrix),
        figure=_draw(waiters, holders, matrix, what),
    )


def _matrix(view: BlameView) -> tuple[list[Who], list[Who], npt.NDArray[np.float64]]:
    """The largest waiters and holders, the others summed, `nobody` last; ns."""
    waiters = _largest(((entry.waiter, entry.ns) for entry in view.entries), _ROWS)
    holders = _largest(((entry.holder, entry.ns) for entry in view.entries if entry.holder.thread != NOBODY), _COLUMNS)
    if any(entry.holder.thread == NOBODY for entry in view.entries):
        holders.append(Who(thread=NOBODY, function=""))
    matrix = np.zeros((len(waiters), len(holders)))
    for entry in view.entries:
        row = waiters.index(entry.waiter) if entry.waiter in waiters else waiters.index(OTHERS)
        column = holders.index(entry.holder) if entry.holder in holders else holders.index(OTHERS)
        matrix[row, column] += entry.ns
    return waiters, holders, matrix


def _largest(pairs: Iterable[tuple[Who, int]], most: int) -> list[Who]:
    """By their sums; more than `most` become the most - 1 largest and `others`."""
    sums: dict[Who, int] = {}
    for who, ns in pairs:
        sums[who] = sums.get(who, 0) + ns
    order = sorted((who for who in sums if who != OTHERS), key=lambda who: -sums[who])
    if len(order) + (OTHERS in sums) <= most:
        return [*order, *([OTHERS] if OTHERS in sums else [])]
    return [*order[: most - 1], OTHERS]


def _draw(waiters: list[Who], holders: list[Who], matrix: npt.NDArray[np.float64], what: str) -> Figure:
    subtitle = f"{what}\nrows waited while columns held the GIL"
    figure, axes = style.canvas(TITLE, subtitle, 1.1 + 0.44 * len(waiters) + _BELOW)
    style.rows(figure, axes, [_short(who) for who in waiters], [style.INK] * len(waiters))
    tint = LinearSegmentedColormap.from_list("wait", ["#ffffff", style.STATE_COLOURS[GIL]])
    longest = float(matrix.max()) or 1.0
    axes.imshow(matrix, cmap=tint, vmin=0.0, vmax=longest / _DEEPEST, aspect="auto", zorder=0)
    for row, whole in enumerate(matrix.sum(axis=1).tolist()):
        for column, ns in enumerate(matrix[row].tolist()):
            if whole and ns / whole >= _LEAST_SHOWN:
                _field(axes, column, row, ns, ns / whole)
    style.fields(figure, axes, [_short(who) for who in holders], len(waiters), 8.5)
    return figure


def _field(axes: Axes, column: int, row: int, ns: float, share: float) -> None:
    axes.text(
        column,
        row,
        f"{format_ns(ns)}\n{share * 100:.0f} %",
        ha="center",
        va="center",
        fontsize=7.5,
        linespacing=1.15,
        color=style.INK,
    )


def _short(who: Who) -> str:
    return "\n".join(style.short(line, 20) for line in who.label.split("\n"))


def _left_out(waiters: list[Who], holders: list[Who]) -> str:
    if OTHERS in waiters or OTHERS in holders:
        return " Smaller ones are summed as others; blame.csv has all of them."
    return ""


def _alt(waiters: list[Who], holders: list[Who], matrix: npt.NDArray[np.float64]) -> str:
    rows = []
    for row, waiter in enumerate(waiters):
        whole = matrix[row].sum()
        parts = [
            f"{format_ns(matrix[row, column])} ({matrix[row, column] / whole * 100:.0f} %) while "
            f"{_said(holders[column])} held it"
            for column in np.argsort(-matrix[row], kind="stable").tolist()
            if whole and matrix[row, column] / whole >= _LEAST_SHOWN
        ]
        rows.append(f"{_said(waiter)} waited {', '.join(parts)}")
    return f"GIL wait by waiter and holder: {'; '.join(rows)}."


def _said(who: Who) -> str:
    return f"{who.thread} in {who.function}" if who.function else who.thread
