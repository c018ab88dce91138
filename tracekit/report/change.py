"""Whether a speed-up is a change at all, judged by the interval as it is printed."""

from __future__ import annotations

from tracekit.report.cells import Number


def change(speedup: Number) -> str:
    """`faster`, `slower`, `level` (no detectable change: the interval contains 1) or `unsure` (no interval).

    The ends are rounded to the two decimals a reader sees: an interval that reads 0.96–1.00 contains 1.
    """
    if speedup.interval is None:
        return "unsure"
    lower, upper = (round(end, 2) for end in speedup.interval)
    if lower > 1:
        return "faster"
    return "slower" if upper < 1 else "level"
