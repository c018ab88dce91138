"""Thread time, the share of it that was GIL wait, and the ceiling.

    thread time = on-CPU + blocked in a task + run-queue wait + idle + unattributed, of all worker threads

Where a suite lacks that sum and its parts, workers x wall stands in for it.
"""

from __future__ import annotations

from tracekit.report.cells import Cell

THREAD_TIME = (
    "thread_on_cpu_ns",
    "thread_task_blocked_ns",
    "thread_run_queue_ns",
    "thread_idle_ns",
    "unattributed_ns",
)


def thread_time_ns(cell: Cell) -> float | None:
    """How long the cell's worker threads lived, summed; None without a wall."""
    whole = cell.number("thread_wall_ns").centre
    if whole:
        return whole
    parts = [number.centre or 0.0 for name in THREAD_TIME if (number := cell.number(name)).available]
    if sum(parts) > 0:
        return sum(parts)
    wall = cell.number("wall_ns").centre
    return wall * cell.workers if wall else None


def gil_wait_share(cell: Cell) -> tuple[float, float] | None:
    """The part of the thread time spent waiting for the GIL, lower and upper (0..1); None when unknown."""
    share = cell.number("gil_wait_share")
    if not share.available or share.centre is None:
        return None
    return share.interval or (share.centre, share.centre)


def ceiling(cell: Cell) -> float | None:
    """The speed-up that the control reached at this cell's worker count; None when there was no control."""
    speedup, share = cell.number("speedup").centre, cell.number("ceiling_share").centre
    return speedup / share if speedup and share else None
