"""Where the worker threads spent their lives: on-CPU, blocked in a task, in the run queue, idle."""

from __future__ import annotations

from matplotlib.figure import Figure

from tracekit.report import style
from tracekit.report.cells import Cell, Group, left_out
from tracekit.report.figures.rows_of_points import of_models
from tracekit.report.shares import THREAD_TIME
from tracekit.report.views import FigureView, MissingFigure
from tracekit.units import format_ns

TITLE = "What the worker threads did"
SLUG = "thread-time"

NAMES = {
    "thread_on_cpu_ns": "on-CPU",
    "thread_task_blocked_ns": "blocked in a task",
    "thread_run_queue_ns": "run-queue wait",
    "thread_idle_ns": "idle",
    "unattributed_ns": "unattributed",
}
_LEAST_LABELLED = 0.09


def figure(group: Group, workload: str) -> FigureView | MissingFigure:
    """One bar of 100 % per model at its largest worker count, with the absolute seconds beside it."""
    bars = {cell.counted: _parts(cell) for cell in group.at_most_workers()}
    shown = [cell for cell in group.at_most_workers() if sum(bars[cell.counted].values()) > 0]
    if not shown:
        return MissingFigure(title=TITLE, reason=_why_not(group))
    return FigureView(
        slug=SLUG,
        title=TITLE,
        caption=_caption(shown) + left_out(group.at_most_workers(), "thread_on_cpu_ns"),
        alt=_alt(shown, workload),
        figure=_draw(shown, workload),
    )


def _parts(cell: Cell) -> dict[str, float]:
    """metric -> nanoseconds, summed over the worker threads; what is unavailable is left out."""
    numbers = [cell.number(name) for name in THREAD_TIME]
    return {number.metric: max(0.0, number.centre or 0.0) for number in numbers if number.available}


def _draw(cells: list[Cell], workload: str) -> Figure:
    subtitle = f"{style.short(workload)}, {of_models(cells)}, mean of n = {_n(cells)} repeats"
    figure, axes = style.canvas(TITLE, subtitle, 1.85 + 0.42 * len(cells))
    style.rows(figure, axes, [cell.row_label for cell in cells], [style.colour(cell.family) for cell in cells])
    present = [name for name in THREAD_TIME if any(_parts(cell).get(name, 0) > 0 for cell in cells)]
    for row, cell in enumerate(cells):
        parts = _parts(cell)
        whole = sum(parts.values())
        left = 0.0
        for name in present:
            share = parts.get(name, 0.0) / whole
            axes.barh(
                row,
                share,
                left=left,
                height=0.62,
                color=style.STATE_COLOURS[name],
                edgecolor=style.MUTED if name == "unattributed_ns" else "white",
                hatch="////" if name == "unattributed_ns" else None,
                lw=0.6,
                label=NAMES[name] if row == 0 else f"_{NAMES[name]}",
            )
            if share >= _LEAST_LABELLED and name != "unattributed_ns":
                dark = name == "thread_on_cpu_ns"
                axes.text(
                    left + share / 2,
                    row,
                    f"{share * 100:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=9.5,
                    color="white" if dark else style.INK,
                )
            left += share
        axes.text(1.015, row, format_ns(whole), va="center", fontsize=9.5, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.set_xlabel("share of thread time, its sum at the right")
    handles, names = axes.get_legend_handles_labels()
    style.legend(figure, axes, handles, names)
    style.make_room_right(figure, 0.86)
    return figure


def _n(cells: list[Cell]) -> str:
    counts = {cell.number(name).n for cell in cells for name in THREAD_TIME if cell.number(name).available}
    return "/".join(str(count) for count in sorted(counts))


def _caption(cells: list[Cell]) -> str:
    text = "Absolute sums stand at the right."
    blocked = [
        cell for cell in cells if _parts(cell).get("thread_task_blocked_ns", 0) > 0.02 * sum(_parts(cell).values())
    ]
    if any(cell.family == "threads" and cell.gil_enabled is not False for cell in blocked):
        text = "Threads that are blocked in a task of pure computing wait for the GIL."
    if blocked and any(cell.kind in ("io", "mixed", "ipc") for cell in cells):
        text = "Blocked in a task is sleep, I/O, locks and GIL wait together; the table bounds the GIL wait."
    if any(_parts(cell).get("unattributed_ns", 0) > 0 for cell in cells):
        text += " Unattributed time is known to have passed, but not on what."
    return text


def _alt(cells: list[Cell], workload: str) -> str:
    bars = []
    for cell in cells:
        parts = _parts(cell)
        whole = sum(parts.values())
        shares = [f"{NAMES[name]} {parts[name] / whole * 100:.0f} %" for name in parts if parts[name] > 0]
        bars.append(f"{cell.counted} ({format_ns(whole)} in all): {', '.join(shares)}")
    return f"Thread time of {workload}. {'; '.join(bars)}."


def _why_not(group: Group) -> str:
    for cell in group.cells:
        reason = cell.number("thread_on_cpu_ns").reason
        if reason:
            return reason
    return "no run is usable"
