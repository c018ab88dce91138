"""The fault matrix as a figure: a field for each kind of worker and each fault, a colour and a word for the outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tracekit.report import style
from tracekit.report.faults import OUTCOMES, Case
from tracekit.report.views import FigureView

TITLE = "What a fault costs, by kind of worker"
SLUG = "faults"
_COLOURS = {"own": "#d7eee5", "silent": "#eef0c5", "others": "#fbe3b5", "hangs": "#e3c9dd", "dies": "#f2b8a0"}
"""Light, so that the word in the field can be read: it tells what colour alone would not."""


def figure(cases: Sequence[Case], what: str) -> FigureView:
    """A row per kind of worker, a column per fault. `what` names the suite."""
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="; ".join(f"{outcome}: {text}" for outcome, text in OUTCOMES.items()) + ".",
        alt="; ".join(f"{case.workers}, {case.fault}: {case.outcome}" for case in cases) + ".",
        figure=_draw(cases, what),
    )


def _draw(cases: Sequence[Case], what: str) -> Figure:
    workers = list(dict.fromkeys(case.workers for case in cases))
    faults = list(dict.fromkeys(case.fault for case in cases))
    outcomes = list(OUTCOMES)
    matrix = np.full((len(workers), len(faults)), np.nan)
    for case in cases:
        matrix[workers.index(case.workers), faults.index(case.fault)] = outcomes.index(case.outcome)
    figure, axes = style.canvas(
        TITLE, f"{what}\none of two workers fails; what becomes of the program", 1.8 + 0.3 * len(workers)
    )
    families = {case.workers: case.family for case in cases}
    colours = [style.FAMILY_COLOURS[families[name]] for name in workers]
    style.rows(figure, axes, [name.replace(" (", "\n(") for name in workers], colours)
    axes.imshow(
        matrix,
        cmap=ListedColormap([_COLOURS[outcome] for outcome in outcomes]),
        vmin=-0.5,
        vmax=len(outcomes) - 0.5,
        aspect="auto",
        zorder=0,
    )
    for case in cases:
        place = (faults.index(case.fault), workers.index(case.workers))
        axes.text(*place, case.outcome, ha="center", va="center", fontsize=6.5, color=style.INK)
    axes.tick_params(axis="both", length=0, pad=2, colors=style.INK, labelsize=7.5)
    axes.set_xticks(range(len(faults)), faults, rotation=38, ha="right")
    axes.set_xticks(np.arange(len(faults) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(workers) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=style.RULE, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylim(len(workers) - 0.5, -0.5)
    style.fit_below(figure, axes)
    return figure
