"""Break-even: the task length over the payload, a region per start method in which processes are faster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tracekit.analysis.metrics.predict.break_even_terms import BreakEvenTerms, find_task_length
from tracekit.analysis.metrics.predict.prediction import POOLS
from tracekit.analysis.report.cells import ReportCell
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.views import FigureView
from tracekit.analysis.statistics.ratios import geometric_mean
from tracekit.core.units import format_bytes, format_ns, plural

TITLE = "From which task on processes pay"
SLUG = "break-even"
_PAYLOADS = tuple(float(2**power) for power in range(0, 27, 2))
_SHORTEST_NS, _LONGEST_NS = 1e4, 1e11
_SHADES = {"fork": "#d6e6f2", "forkserver": "#a9cbe4", "spawn": "#7aaed3"}
_POINTS = 400


def figure(base: ReportCell, terms: Sequence[BreakEvenTerms]) -> FigureView | None:
    """Of the rounds of one cell of threads; None where processes never pay."""
    curves = {model: curve for model in POOLS if (curve := _curve(terms, model)) is not None}
    if not curves:
        return None
    counts = f"{plural(base.workers, 'worker')}, {plural(terms[0].tasks, 'task')}"
    drawn, axes = style.canvas(TITLE, f"{counts}: length of a task over its payload", 4.2)
    for model, curve in curves.items():
        axes.fill_between(_PAYLOADS, curve, _LONGEST_NS, color=_SHADES[model], lw=0, zorder=1)
        axes.plot(_PAYLOADS, curve, color=style.FAMILY_COLOURS["processes"], ls=style.line(model), lw=1.6, label=model)
    payload = terms[0].item_bytes + terms[0].result_bytes
    length = float(np.median([item.task_ns for item in terms]))
    axes.plot([max(payload, 1.0)], [length], "o", color=style.INK, ms=6, zorder=5)
    axes.annotate(
        base.workload,
        (max(payload, 1.0), length),
        xytext=(7, -14),
        textcoords="offset points",
        color=style.INK,
        zorder=5,
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(_PAYLOADS[0], _PAYLOADS[-1])
    axes.set_ylim(_SHORTEST_NS, _LONGEST_NS)
    axes.xaxis.set_major_locator(FixedLocator([1.0, 2.0**6, 2.0**10, 2.0**14, 2.0**20, 2.0**24]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round(format_bytes(round(value)))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _round(format_ns(value))))
    axes.grid(color=style.RULE, lw=0.6)
    drawn.subplots_adjust(left=0.17)
    handles, names = axes.get_legend_handles_labels()
    style.legend(drawn, axes, handles, [f"{name} pays above" for name in names])
    lengths = "; ".join(f"{model}: from {_read(curve)}" for model, curve in curves.items())
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption="Above a line a pool of that start method is faster than threads and serial, below it is not. The "
        "payload is an item and its result together, in bytes that pickle as fast as they are copied, or as this "
        "workload's did.",
        alt=f"Task length from which processes pay, over the payload of a task. {lengths}. {base.workload} itself: "
        f"tasks of {format_ns(length)} with {format_bytes(round(payload))}.",
        figure=drawn,
    )


def _round(text: str) -> str:
    """`1.00 s` as `1 s`."""
    return text.replace(".00 ", " ").replace(".0 ", " ")


def _curve(terms: Sequence[BreakEvenTerms], model: str) -> list[float] | None:
    """The mean of the rounds for each payload; None where one of them says never."""
    found = []
    for payload in _PAYLOADS:
        lengths = [
            find_task_length(item, model, payload=payload, points=_POINTS) for item in terms if model in item.pools
        ]
        known = [length for length in lengths if length is not None]
        if not known or len(known) < len(lengths):
            return None
        found.append(geometric_mean(known))
    return found


def _read(curve: Sequence[float]) -> str:
    middle = _PAYLOADS.index(2.0**20)
    return f"{format_ns(curve[0])} without payload, {format_ns(curve[middle])} with 1 MiB"
