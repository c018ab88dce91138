"""Where the worker threads spent their lives: on-CPU, waiting for the GIL or something else, idle."""

from __future__ import annotations

from matplotlib.figure import Figure

from tracekit.analysis.metrics.ledger.parts import BLOCKED
from tracekit.analysis.report.cells import Cell, Group, left_out
from tracekit.analysis.report.figures import ledger_bars as bars_of_parts
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.figures.ledger_bars import LedgerBar
from tracekit.analysis.report.figures.point_rows import of_models
from tracekit.analysis.report.ledger import Ledger, ledger_of_cell, rules
from tracekit.analysis.report.views import FigureView, MissingFigure

TITLE = "What the worker threads did"
SLUG = "thread-time"


def figure(group: Group, workload: str) -> FigureView | MissingFigure:
    """One bar of 100 % per model at its largest worker count, with the absolute seconds beside it."""
    found = [(cell, ledger) for cell in group.at_most_workers() if (ledger := ledger_of_cell(cell))]
    if not found:
        return MissingFigure(title=TITLE, reason=_why_not(group))
    bars = [LedgerBar(cell.row_label, style.colour(cell.family), ledger) for cell, ledger in found]
    told = [LedgerBar(cell.counted, "", ledger) for cell, ledger in found]
    cells = {cell for cell, _ in found}
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption=_caption(found) + left_out([c for c in group.at_most_workers() if c not in cells], "thread_on_cpu_ns"),
        alt=f"Thread time of {workload}. {bars_of_parts.words(told)}.",
        figure=_draw([cell for cell, _ in found], bars, workload),
    )


def _draw(cells: list[Cell], bars: list[LedgerBar], workload: str) -> Figure:
    counts = sorted({bar.ledger.n for bar in bars})
    n = "/".join(str(count) for count in counts)
    repeats = "one repeat, n = 1" if counts == [1] else f"mean of n = {n} repeats"
    subtitle = f"{style.short(workload)}, {of_models(cells)}, {repeats}"
    return bars_of_parts.draw(bars, TITLE, subtitle)


def _caption(found: list[tuple[Cell, Ledger]]) -> str:
    text = ""
    blocked = [cell for cell, ledger in found if ledger.share(BLOCKED) > 0.02]
    if any(cell.family == "threads" and cell.gil_enabled is not False for cell in blocked):
        text = "Threads that are blocked in a task of pure computing wait for the GIL. "
    if blocked and any(cell.kind in ("io", "mixed", "ipc") for cell, _ in found):
        text = "Blocked in a task is sleep, I/O, locks and GIL wait together; the table bounds the GIL wait. "
    return f"{text}{bars_of_parts.BESIDE} {rules(ledger for _, ledger in found)}".rstrip()


def _why_not(group: Group) -> str:
    for cell in group.cells:
        reason = cell.number("thread_on_cpu_ns").reason
        if reason:
            return reason
    return "no run is usable"
