"""Ledgers as stacked bars: the time of some threads, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracekit.analysis.report.figures import style
from tracekit.analysis.report.ledger import NAMES, PARTS, UNATTRIBUTED, LedgerRows, unattributed_text
from tracekit.core.units import format_ns

_LABEL_INCHES = 0.33
"""What `99 %` takes."""
_TEXT = 9.5


BESIDE = "At the right the sums, and under them the time that no method accounts for."
"""The caption's sentence on the numbers beside the bars."""


class LedgerBar(NamedTuple):
    """One bar: its label of one or two lines, the colour of the label, and the time."""

    label: str
    colour: str
    ledger: LedgerRows


def draw(bars: Sequence[LedgerBar], title: str, subtitle: str) -> Figure:
    """A bar of 100 % each; at the right its sum, and beneath that the unattributed part."""
    figure, axes = style.canvas(title, subtitle, 1.9 + 0.46 * len(bars))
    style.rows(figure, axes, [bar.label for bar in bars], [bar.colour for bar in bars])
    style.make_room_right(figure, 0.86)
    least = _LABEL_INCHES / (axes.get_position().width * figure.get_figwidth())
    present = [name for name in PARTS if any(bar.ledger.parts.get(name, 0) > 0 for bar in bars)]
    for row, bar in enumerate(bars):
        left = 0.0
        for name in present:
            share = _part(axes, row, left, bar.ledger, name)
            if share >= least and name != UNATTRIBUTED:
                _label(axes, row, left + share / 2, name, share)
            left += share
        axes.text(1.015, row - 0.19, format_ns(bar.ledger.whole), va="center", fontsize=_TEXT, clip_on=False)
        axes.text(
            1.015,
            row + 0.21,
            unattributed_text(bar.ledger),
            va="center",
            fontsize=8,
            color=style.MUTED,
            clip_on=False,
        )
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.set_xlabel("share of thread time; right: its sum, unattributed", loc="right")
    handles, names = axes.get_legend_handles_labels()
    style.legend(figure, axes, handles, names)
    return figure


def words(bars: Sequence[LedgerBar]) -> str:
    """The bars as text, for a figure's alternative text."""
    return "; ".join(
        f"{bar.label.replace(chr(10), ' ')} ({format_ns(bar.ledger.whole)} in all): {bar.ledger.sentence}"
        for bar in bars
    )


def _part(axes: Axes, row: int, left: float, ledger: LedgerRows, name: str) -> float:
    """Draw one part; returns how wide it is."""
    # Where clocks disagree unattributed is below 0 and the other parts exceed the whole: the bar stays 100 %.
    drawn = sum(max(0.0, value) for value in ledger.parts.values())
    share = max(0.0, ledger.parts.get(name, 0.0)) / max(drawn, ledger.whole)
    axes.barh(
        row,
        share,
        left=left,
        height=0.66,
        color=style.STATE_COLOURS[name],
        edgecolor=style.MUTED if name in style.STATE_HATCHES else "white",
        hatch=style.STATE_HATCHES.get(name),
        lw=0.6,
        label=NAMES[name] if row == 0 else f"_{NAMES[name]}",
    )
    return share


def _label(axes: Axes, row: int, middle: float, name: str, share: float) -> None:
    axes.text(
        middle,
        row,
        f"{share * 100:.0f} %",
        ha="center",
        va="center",
        fontsize=_TEXT,
        color=style.STATE_TEXT.get(name, style.INK),
        bbox=_plate(name),
    )


def _plate(name: str) -> dict[str, object] | None:
    """A patch of the part's colour behind text that a hatch would cross."""
    if name not in style.STATE_HATCHES:
        return None
    return {"facecolor": style.STATE_COLOURS[name], "edgecolor": "none", "pad": 1.2}
