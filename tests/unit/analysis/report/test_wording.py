"""Numbers and intervals as text."""

import pytest

from tracekit.analysis.report.cells import Number
from tracekit.analysis.report.wording import (
    interval_text,
    range_text,
    value_text,
    workers_text,
)
from tracekit.core.units import listed, percent, plural


@pytest.mark.parametrize(
    ("lower", "upper", "unit", "text"),
    [
        (1.3e9, 1.45e9, "ns", "1.30–1.45 s"),
        (660e6, 1.32e9, "ns", "0.66–1.32 s"),
        (0.0, 952e6, "ns", "0–952 ms"),
        (0.0, 0.0, "ns", "0 s"),
        (4_000.0, 952e6, "ns", "0.004–952 ms"),
        (0.484, 0.5154, "share", "48–52 %"),
        (0.508, 0.512, "share", "51 %"),
        (1.74, 1.9, "ratio", "1.74–1.90"),
        (10 * 1024.0**2, 12 * 1024.0**2, "bytes", "10.0–12.0 MiB"),
        (170.0, 190.0, "1/s", "170–190 1/s"),
        (2.0, 4.0, "count", "2–4"),
        (24.0, 24.0, "count", "24"),
        (2.5, 4.0, "count", "2.50–4.00"),
    ],
)
def test_both_ends_have_one_unit_and_equal_decimals(lower: float, upper: float, unit: str, text: str) -> None:
    assert range_text(lower, upper, unit) == text


def test_a_bound_is_its_range_and_has_no_interval_beside_it() -> None:
    number = Number(metric="gil_wait_ns", value=8e8, lower=7e8, upper=9e8, unit="ns", quality="bound", n=5)
    assert value_text(number) == "700–900 ms"
    assert interval_text(number) == ""


def test_too_few_repeats_say_their_number() -> None:
    assert interval_text(Number(metric="speedup", value=1.8, unit="ratio", quality="measured", n=2)) == "n = 2"


def test_one_reading_is_not_repeated_as_its_own_interval() -> None:
    once = Number(metric="steal_ns", value=5.0, lower=5.0, upper=5.0, unit="ns", quality="measured", n=5)
    assert interval_text(once) == ""


def test_an_unavailable_number_is_neither_zero_nor_nan() -> None:
    assert value_text(Number(metric="cpu_ns", reason="not read")) == "n/a"


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.004, "<1 %"), (0.006, "1 %"), (0.494, "49 %"), (1.0, "100 %"), (-0.03, "-3 %")]
)
def test_a_part_that_is_not_nothing_does_not_read_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_counted_words() -> None:
    assert plural(1, "CPU") == "1 CPU"
    assert plural(2, "CPU") == "2 CPUs"
    assert plural(2, "process") == "2 processes"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert workers_text([2, 8, 2]) == "2 to 8 workers"
    assert workers_text([4]) == "4 workers"
