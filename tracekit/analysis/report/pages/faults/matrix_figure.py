"""The fault matrix as a figure: a field for each kind of worker and each fault, a colour and a word for the outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.faults.page import OUTCOMES, Case
from tracekit.analysis.report.views import FigureView

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
    style.fields(figure, axes, faults, len(workers), 7.5)
    return figure
