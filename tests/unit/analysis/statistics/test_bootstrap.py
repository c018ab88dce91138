"""Intervals by resampling, beside answers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.analysis.statistics import bootstrap
from tracekit.analysis.statistics.intervals import LEAST, mean_interval, sum_ratio_interval
from tracekit.analysis.statistics.ratios import geometric_interval

UNTIMED = settings(deadline=None)
walls = st.lists(st.floats(1.0, 1e12), min_size=LEAST, max_size=12)


def test_an_interval_is_the_middle_95_percent_with_linear_interpolation() -> None:
    # Of 0 ... 1000 the 2.5 % point is the value with 25 below it, the 97.5 % point that with 25 above it.
    assert bootstrap.interval(np.arange(1001.0)[::-1]) == (25.0, 975.0)
    # Of 0 ... 10 they lie at 0.25 and 9.75: a quarter of the way from one value to the next.
    assert bootstrap.interval(np.arange(11.0)) == (0.25, 9.75)


def test_of_few_groups_the_interval_of_a_mean_is_expanded() -> None:
    # sqrt(5/4) 2.776 = 3.104: beyond it lie 0.096 % of the normal distribution; sqrt(30/29) 2.045 = 2.080: 1.88 %.
    results = np.arange(10_001.0)
    assert bootstrap.expanded_interval(results, 5) == pytest.approx((9.6, 9990.4), abs=0.1)
    assert bootstrap.expanded_interval(results, 30) == pytest.approx((188, 9812), abs=1)
    assert np.isnan(bootstrap.expanded_interval(results, 4)).all()


def test_five_values_span_from_least_to_most() -> None:
    # Of 5**5 equally likely draws 181 hold the least value at least three times: 5.8 % > 2.5 %. So does the most.
    assert bootstrap.median_interval([30.0, 10.0, 20.0, 50.0, 40.0]) == (10.0, 50.0)


def test_probabilities_of_medians_are_those_of_the_binomial_law() -> None:
    medians = bootstrap.resampled_medians([10.0, 20.0, 30.0, 40.0, 50.0])
    assert np.mean(medians == 10.0) == pytest.approx(181 / 3125, abs=0.015)
    # P(at least 3 of 5 are 10 or 20) - P(at least 3 are 10) = 992/3125 - 181/3125.
    assert np.mean(medians == 20.0) == pytest.approx(811 / 3125, abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_four_values_have_no_interval(count: int) -> None:
    values = [float(value) for value in range(1, count + 1)]
    intervals = (
        bootstrap.median_interval(values),
        mean_interval(values),
        sum_ratio_interval(values, values),
        geometric_interval(values),
    )
    assert all(math.isnan(end) for ends in intervals for end in ends)
    assert np.isnan(bootstrap.resampled_medians(values)).all()


def test_the_interval_of_the_least_number_of_runs_covers_the_median_94_times_in_100() -> None:
    draw = np.random.default_rng(1)
    found = [bootstrap.median_interval(list(draw.normal(100.0, 5.0, LEAST))) for _ in range(1_000)]
    covered = np.mean([lower <= 100.0 <= upper for lower, upper in found])
    # All five on one side of the true median: 2 of 32 cases.
    assert covered == pytest.approx(30 / 32, abs=0.025)


def test_equal_values_have_no_width() -> None:
    assert bootstrap.median_interval([5.0] * 5) == (5.0, 5.0)


def test_sum_ratio_is_of_sums_not_a_mean_of_ratios() -> None:
    # All pairs have the ratio 2, so has every resampled sum.
    assert sum_ratio_interval([2.0, 4.0, 60.0, 6.0, 8.0], [1.0, 2.0, 30.0, 3.0, 4.0]) == (2.0, 2.0)


@UNTIMED
@given(walls)
def test_order_does_not_matter(values: list[float]) -> None:
    assert bootstrap.median_interval(values) == bootstrap.median_interval(values[::-1])


@UNTIMED
@given(walls, st.floats(0.001, 1000))
def test_scaling_scales(values: list[float], factor: float) -> None:
    lower, upper = bootstrap.median_interval(values)
    scaled = bootstrap.median_interval([value * factor for value in values])
    assert scaled == pytest.approx((lower * factor, upper * factor))


@UNTIMED
@given(walls)
def test_interval_lies_in_the_sample(values: list[float]) -> None:
    lower, upper = bootstrap.median_interval(values)
    assert min(values) <= lower <= upper <= max(values)
