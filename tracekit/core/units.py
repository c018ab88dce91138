"""Numbers as a reader wants to see them. Inside tracekit times are integer nanoseconds; only text has other units."""

from __future__ import annotations

TIME_STEPS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
"""Nanoseconds per unit, and its name, the largest first."""


def format_ns(value: float) -> str:
    """A duration with three significant digits and the unit that keeps it readable: `1.23 s`, `45.6 ms`, `0 s`."""
    if value == 0:
        return "0 s"
    for step, unit in TIME_STEPS:
        # 0.9995 rounds up to the next unit's 1.00, so it already belongs there.
        if abs(value) >= step * 0.9995:
            return f"{significant(value / step)} {unit}"
    return f"{significant(value)} ns"


def format_bytes(value: float) -> str:
    """A size in binary units: `1.50 MiB`."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if abs(value) >= 1024**power:
            return f"{significant(value / 1024**power)} {unit}"
    return f"{value:.0f} B"


def format_value(value: float, unit: str) -> str:
    """One number in its unit, as tables and sentences show it. `unit` is the metrics table's `unit` column."""
    if unit == "ns":
        return format_ns(value)
    if unit == "bytes":
        return format_bytes(value)
    if unit == "count":
        return f"{value:,.0f}" if abs(value) >= 100 else significant(value)
    if unit == "ratio":
        return f"{value:.2f}x"
    if unit == "share":
        return f"{value * 100:.0f} %"
    return f"{significant(value)} {unit}".rstrip()


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many significant digits and no exponent: 0.123, 1.23, 12.3, 123, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    # "%e" finds the exponent after rounding, so 9.996 counts as 10.0 and not as 9.996.
    exponent = int(f"{abs(value):.{digits - 1}e}".split("e")[1])
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def percent(share: float) -> str:
    """A part of a whole: `49 %`; what is not nothing does not read as nothing: `<1 %`."""
    return "<1 %" if 0 < share < 0.005 else f"{share * 100:.0f} %"


def plural(count: int, word: str) -> str:
    """`1 repeat`, `5 repeats`, `2 CPUs`, `2 processes`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}{'es' if word.endswith('s') else 's'}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
