"""Numbers as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.core.units import format_bytes, format_ns, format_value, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.4, "0.400 ns"),
        (999, "999 ns"),
        (999.6, "1.00 µs"),
        (1_234_567, "1.23 ms"),
        (999_960, "1.00 ms"),
        (-45_600_000, "-45.6 ms"),
        (1_500_000_000, "1.50 s"),
        (90_000_000_000, "90.0 s"),
        (1_234_000_000_000, "1,234 s"),
    ],
)
def test_durations(value: float, text: str) -> None:
    assert format_ns(value) == text


@given(st.integers(min_value=1, max_value=10**15))
def test_a_duration_reads_back_within_half_a_percent(value: int) -> None:
    number, unit = format_ns(value).split()
    scale = {"s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=0.005)


def test_other_units() -> None:
    assert format_bytes(1536) == "1.50 KiB"
    assert format_bytes(12) == "12 B"
    assert format_value(0.873, "share") == "87 %"
    assert format_value(1.8249, "ratio") == "1.82x"
    assert format_value(1234.4, "count") == "1,234"
    assert significant(9.996) == "10.0"
    assert significant(0) == "0"
