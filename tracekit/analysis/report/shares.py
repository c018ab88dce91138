"""What is derived from a cell's numbers: thread time, GIL wait as a part of it, the ceiling, and judging a speed-up."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tracekit.analysis.metrics.cells.ceiling import choose_control
from tracekit.analysis.report.cells import Number, ReportCell
from tracekit.analysis.report.ledger import PARTS
from tracekit.analysis.statistics.ratios import divide_rounds, geometric_interval
from tracekit.bundle.names import WAITING


def thread_time_ns(cell: ReportCell) -> float | None:
    """The summed lifetimes of the cell's threads in ns; workers x wall without a ledger; None without a wall."""
    whole = cell.number("thread_wall_ns").centre
    if whole:
        return whole
    parts = [number.centre or 0.0 for name in PARTS if (number := cell.number(name)).available]
    if sum(parts) > 0:
        return sum(parts)
    wall = cell.number("wall_ns").centre
    return wall * cell.workers if wall else None


def gil_wait(cell: ReportCell) -> tuple[Number, Number]:
    """The GIL wait by the best method, and by the same method its part of the thread time."""
    wait = cell.best_number("gil_wait_ns")
    shares = [share for share in cell.numbers_by_method("gil_wait_share") if share.method == wait.method]
    return wait, shares[0] if shares else cell.best_number("gil_wait_share")


def gil_wait_share(cell: ReportCell) -> tuple[float, float] | None:
    """The part of the thread time spent waiting for the GIL, lower and upper (0..1); None when unknown."""
    share = gil_wait(cell)[1]
    if not share.available or share.centre is None:
        return None
    return share.interval or (share.centre, share.centre)


def ceiling(cell: ReportCell) -> float | None:
    """The speed-up that the control reached at this cell's worker count; None when there was no control."""
    speedup, share = cell.number("speedup").centre, cell.number("ceiling_share").centre
    return speedup / share if speedup and share else None


def control_speedup(controls: Iterable[ReportCell], cell: ReportCell) -> float | None:
    """The speed-up of the control at this cell's worker count, in its fastest model that no GIL holds back; also where
    that is too low for a share of it."""
    name = choose_control(cell.kind)
    reached = [
        speedup
        for control in controls
        if control.workload == name
        and control.workers == cell.workers
        and control.family != "serial"
        and (name == WAITING or control.family == "processes" or control.gil_enabled is False)
        and (speedup := control.number("speedup").centre)
    ]
    return max(reached, default=None)


def judge_speedup(speedup: Number) -> str:
    """`faster`, `slower`, `level` (no detectable change: the interval contains 1) or `unsure` (no interval).

    The ends are rounded to the two decimals that are shown: an interval that reads 0.96–1.00 contains 1.
    """
    if speedup.interval is None:
        return "unsure"
    if contains_one(speedup):
        return "level"
    return "faster" if speedup.interval[0] > 1 else "slower"


def is_slower(cell: ReportCell, other: ReportCell) -> bool | None:
    """Whether the cell is detectably slower than the other: the ratio of their walls, paired by round, lies above 1.

    None where too few rounds have both. Intervals of the two that overlap say nothing: what a round does to both is in
    each of them, and not in the ratio.
    """
    lower, _ = geometric_interval(divide_rounds(cell.walls_by_round, other.walls_by_round).values())
    return None if math.isnan(lower) else lower > 1


def contains_one(number: Number) -> bool:
    """Whether 1, or 100 %, lies in the interval as it is shown; False without an interval."""
    if number.interval is None:
        return False
    lower, upper = (round(end, 2) for end in number.interval)
    return lower <= 1 <= upper
