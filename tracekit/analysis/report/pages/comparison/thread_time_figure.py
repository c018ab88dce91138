"""The time of the worker threads: on-CPU, waiting for the GIL or something else, idle."""

from __future__ import annotations

from matplotlib.figure import Figure

from tracekit.analysis.metrics.ledger.parts import BLOCKED
from tracekit.analysis.report.cells import CellGroup, ReportCell, left_out
from tracekit.analysis.report.figures import ledger_bars, style
from tracekit.analysis.report.figures.ledger_bars import LedgerBar
from tracekit.analysis.report.figures.point_rows import of_models
from tracekit.analysis.report.ledger import LedgerRows, ledger_of_cell, rules
from tracekit.analysis.report.views import FigureView, MissingFigure

TITLE = "Time of the worker threads"
SLUG = "thread-time"


def figure(group: CellGroup, workload: str) -> FigureView | MissingFigure:
    """One bar of 100 % per model at its largest worker count, with the absolute seconds beside it."""
    found = [(cell, ledger) for cell in group.at_most_workers() if (ledger := ledger_of_cell(cell))]
    if not found:
        return MissingFigure(title=TITLE, reason=_why_not(group))
    bars = [LedgerBar(cell.row_label, style.colour(cell.family), ledger) for cell, ledger in found]
    in_words = [LedgerBar(cell.counted, "", ledger) for cell, ledger in found]
    cells = {cell for cell, _ in found}
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption=_caption(found) + left_out([c for c in group.at_most_workers() if c not in cells], "thread_on_cpu_ns"),
        alt=f"Thread time of {workload}. {ledger_bars.words(in_words)}.",
        figure=_draw([cell for cell, _ in found], bars, workload),
    )


def _draw(cells: list[ReportCell], bars: list[LedgerBar], workload: str) -> Figure:
    counts = sorted({bar.ledger.n for bar in bars})
    n = "/".join(str(count) for count in counts)
    repeats = "one repeat, n = 1" if counts == [1] else f"mean of n = {n} repeats"
    subtitle = f"{style.short(workload)}, {of_models(cells)}, {repeats}"
    return ledger_bars.draw(bars, TITLE, subtitle)


def _caption(found: list[tuple[ReportCell, LedgerRows]]) -> str:
    text = ""
    blocked = [cell for cell, ledger in found if ledger.share(BLOCKED) > 0.02]
    if any(cell.family == "threads" and cell.gil_enabled is not False for cell in blocked):
        text = "Threads that are blocked in a task of pure computing wait for the GIL. "
    if blocked and any(cell.kind in ("io", "mixed", "ipc") for cell, _ in found):
        text = "Blocked in a task is sleep, I/O, locks and GIL wait together; the table bounds the GIL wait. "
    return f"{text}{ledger_bars.BESIDE} {rules(ledger for _, ledger in found)}".rstrip()


def _why_not(group: CellGroup) -> str:
    for cell in group.cells:
        reason = cell.number("thread_on_cpu_ns").reason
        if reason:
            return reason
    return "no run is usable"
