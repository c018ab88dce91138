"""Parts of the time that worker threads lived, from summed nanoseconds (never from averaged percentages).

    thread time = on-CPU + blocked in a task + run-queue wait + idle + unattributed, summed over the worker threads

Where a suite lacks those sums, workers x wall stands in for the thread time.
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
    parts = [number.centre or 0.0 for name in THREAD_TIME if (number := cell.number(name)).available]
    if sum(parts) > 0:
        return sum(parts)
    wall = cell.number("wall_ns").centre
    return wall * cell.workers if wall else None


def gil_wait_share(cell: Cell) -> tuple[float, float] | None:
    """The part of the thread time spent waiting for the GIL, lower and upper (0..1); None when unknown."""
    wait = cell.number("gil_wait_ns")
    whole = thread_time_ns(cell)
    if not wait.available or not whole or wait.centre is None:
        return None
    lower, upper = wait.interval or (wait.centre, wait.centre)
    return (min(1.0, max(0.0, lower / whole)), min(1.0, max(0.0, upper / whole)))
