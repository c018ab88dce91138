"""Intervals by resampling, beside answers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.metrics import bootstrap

walls = st.lists(st.floats(1.0, 1e12), min_size=3, max_size=12)


def test_three_values_span_from_least_to_most() -> None:
    # Of 27 equally likely draws 7 have the least value as median (7/27 = 26 % > 2.5 %), and 7 the most.
    assert bootstrap.median_interval([30.0, 10.0, 20.0]) == (10.0, 30.0)


def test_probabilities_of_medians_are_those_of_the_binomial_law() -> None:
    medians = bootstrap.resampled_medians([10.0, 20.0, 30.0])
    assert np.mean(medians == 10.0) == pytest.approx(7 / 27, abs=0.03)
    assert np.mean(medians == 20.0) == pytest.approx(13 / 27, abs=0.03)


def test_two_values_have_no_interval() -> None:
    assert all(math.isnan(end) for end in bootstrap.median_interval([1.0, 2.0]))


def test_equal_values_have_no_width() -> None:
    assert bootstrap.median_interval([5.0] * 5) == (5.0, 5.0)


def test_sum_ratio_is_of_sums_not_a_mean_of_ratios() -> None:
    # All pairs have the ratio 2, so has every resampled sum.
    assert bootstrap.sum_ratio_interval([2.0, 4.0, 60.0], [1.0, 2.0, 30.0]) == (2.0, 2.0)


@given(walls)
def test_order_does_not_matter(values: list[float]) -> None:
    assert bootstrap.median_interval(values) == bootstrap.median_interval(values[::-1])


@given(walls, st.floats(0.001, 1000))
def test_scaling_scales(values: list[float], factor: float) -> None:
    lower, upper = bootstrap.median_interval(values)
    scaled = bootstrap.median_interval([value * factor for value in values])
    assert scaled == pytest.approx((lower * factor, upper * factor))


@given(walls)
def test_interval_lies_in_the_sample(values: list[float]) -> None:
    lower, upper = bootstrap.median_interval(values)
    assert min(values) <= lower <= upper <= max(values)
