"""Whether a ratio is a change at all, judged by the interval as it is printed."""

from __future__ import annotations

from tracekit.analysis.report.cells import Number


def change(speedup: Number) -> str:
    """`faster`, `slower`, `level` (no detectable change: the interval contains 1) or `unsure` (no interval).

    The ends are rounded to the two decimals a reader sees: an interval that reads 0.96–1.00 contains 1.
    """
    if speedup.interval is None:
        return "unsure"
    if contains_one(speedup):
        return "level"
    return "faster" if speedup.interval[0] > 1 else "slower"


def contains_one(number: Number) -> bool:
    """Whether 1, or 100 %, lies in the interval as a reader sees it; False without an interval."""
    if number.interval is None:
        return False
    lower, upper = (round(end, 2) for end in number.interval)
    return lower <= 1 <= upper
