"""Numbers and their intervals as text: one unit for both ends, as many decimals as the ends deserve."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tracekit.analysis.report.cells import Number
from tracekit.core.units import TIME_STEPS, format_bytes, format_value, plural, significant

_SIZE_STEPS = ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))
_DASH = "–"

TOGETHER = re.compile(
    r"""
    \d{4}-\d\d-\d\d\ \d\d:\d\d\ UTC
    | (?:n\ =\ )? ~?\d[\d,.]* (?:–\d[\d,.]*)?
      (?:x|\ (?:s|ms|µs|ns|%|[KMG]iB|B|CPUs?|repeats?|workers?)(?!\w))?
    """,
    re.VERBOSE,
)
"""What no line may break in: `1.74–1.90`, `1.38 s`, `n = 5`."""


def value_text(number: Number) -> str:
    """The number alone: `1.82x`, `1.38 s`; a bound shows its range, an unavailable one `n/a`."""
    if not number.available:
        return "n/a"
    if number.quality == "bound" and number.interval:
        return range_text(*number.interval, number.unit)
    centre = number.centre
    if centre is None:
        return "n/a"
    return f"{centre:,.0f}" if _counted(number.unit, centre) else format_value(centre, number.unit)


def interval_text(number: Number) -> str:
    """Its interval, `1.74–1.90`, or its n when that is too few for one; empty when a bound already is its range."""
    if not number.available or number.quality == "bound":
        return ""
    if number.interval:
        # A number that was read once is its own interval, which would only repeat it.
        degenerate = number.lower == number.value == number.upper
        return "" if degenerate else range_text(*number.interval, number.unit)
    return f"n = {number.n}" if number.n else ""


def range_text(lower: float, upper: float, unit: str) -> str:
    """Two ends in one unit: `1.30–1.45 s`, `48–52 %`, `1.74–1.90`; ends that read alike are written once."""
    if unit == "ns":
        step, name = next((item for item in TIME_STEPS if abs(upper) >= item[0] * 0.9995), TIME_STEPS[-1])
        return _joined(lower / step, upper / step, name if upper else "s")
    if unit == "bytes":
        step, name = next((item for item in _SIZE_STEPS if abs(upper) >= item[0]), (1.0, "B"))
        return _joined(lower / step, upper / step, name) if upper else format_bytes(0)
    if unit == "share":
        low, high = f"{lower * 100:.0f}", f"{upper * 100:.0f}"
        return f"{high} %" if low == high else f"{low}{_DASH}{high} %"
    if unit == "ratio":
        return f"{lower:.2f}{_DASH}{upper:.2f}"
    if _counted(unit, lower, upper):
        low, high = f"{lower:,.0f}", f"{upper:,.0f}"
        return high if low == high else f"{low}{_DASH}{high}"
    return _joined(lower, upper, "" if unit == "count" else unit)


def times(value: float) -> str:
    """A ratio: `1.82x`."""
    return format_value(value, "ratio")


def workers_text(counts: Iterable[int]) -> str:
    """`2 workers`, or `2 to 8 workers` when models differ."""
    found = sorted(set(counts))
    if not found:
        return "no workers"
    return plural(found[0], "worker") if len(found) == 1 else f"{found[0]} to {found[-1]} workers"


def _counted(unit: str, *values: float) -> bool:
    """Whether these are counts of whole things: 24, not 24.0."""
    return unit == "count" and all(float(value).is_integer() for value in values)


def _joined(lower: float, upper: float, name: str) -> str:
    high = significant(upper)
    decimals = len(high.partition(".")[2])
    low = f"{lower:,.{decimals}f}" if lower else "0"
    # A low end that would read as 0 is not 0: give it digits of its own.
    if lower != 0 and float(low.replace(",", "")) == 0:
        low = significant(lower, 1)
    text = high if low == high else f"{low}{_DASH}{high}"
    return f"{text} {name}".rstrip()
