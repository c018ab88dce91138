"""What the intervals promise: simulated, 95 % of them contain the truth, and they are no wider than they have to be."""

from __future__ import annotations

import numpy as np
import pytest

from tracekit.analysis.statistics.bootstrap import RESAMPLES, interquartile_interval
from tracekit.analysis.statistics.intervals import Floats, mean_interval, quantile_t, spread_mean, sum_ratio_interval
from tracekit.analysis.statistics.ratios import divide_rounds, divide_samples, geometric_interval, geometric_mean

SUITES = 4_000
OLD_SUITES = 2_000
TRUE = 1.9
OWN = 0.02
"""The noise of each run beside that of its round."""

WIDTHS = {
    # rounds, noise of the round: width paired by round, and resampled apart as before
    (5, 0.0): (0.122, 0.122),
    (5, 0.05): (0.122, 0.326),
    (5, 0.15): (0.122, 0.928),
    (10, 0.0): (0.074, 0.081),
    (10, 0.05): (0.074, 0.215),
    (10, 0.15): (0.074, 0.61),
    (20, 0.0): (0.049, 0.058),
    (20, 0.05): (0.049, 0.155),
    (20, 0.15): (0.049, 0.432),
}
"""Of the interval of a ratio of 1.9, the median over the suites."""


def simulate_walls(runs: int, shared: float) -> tuple[Floats, Floats]:
    """Walls of two cells in SUITES suites of so many rounds: lognormal noise of the round, and of each run."""
    draw = np.random.default_rng([runs, int(shared * 100)])
    rounds = draw.normal(0.0, shared, (SUITES, runs))
    slow, fast = (np.exp(rounds + draw.normal(0.0, OWN, (SUITES, runs))) for _ in range(2))
    return TRUE * slow, fast


def resample_apart(*walls: Floats) -> tuple[Floats, Floats]:
    """The interval as it was, of each suite: both medians resampled, each over its own runs."""
    draw = np.random.default_rng(0)
    medians = []
    for values in walls:
        # The drawn places of sorted values, sorted as well, have the median in the middle.
        ordered, runs = np.sort(values, axis=1).astype(np.float32).T, values.shape[1]
        places = np.sort(draw.integers(0, runs, (RESAMPLES, runs)), axis=1)
        medians.append(ordered[places[:, (runs - 1) // 2]] + ordered[places[:, runs // 2]])
    lower, upper = np.percentile(medians[0] / medians[1], (2.5, 97.5), axis=0)
    return lower, upper


@pytest.mark.parametrize("shared", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("runs", [5, 10, 20])
def test_a_ratio_paired_by_round_is_covered_95_times_in_100(runs: int, shared: float) -> None:
    slow, fast = simulate_walls(runs, shared)
    lower, upper = (np.exp(end) for end in spread_mean(np.log(slow / fast)))
    assert 0.93 <= np.mean((lower <= TRUE) & (upper >= TRUE)) <= 0.97
    old_lower, old_upper = resample_apart(slow[:OLD_SUITES], fast[:OLD_SUITES])
    widths = (float(np.median(upper - lower)), float(np.median(old_upper - old_lower)))
    assert widths == pytest.approx(WIDTHS[runs, shared], rel=0.03)


def test_the_interval_of_a_ratio_is_that_of_the_simulation() -> None:
    slow, fast = (walls[0] for walls in simulate_walls(5, 0.05))
    by_round = [dict(enumerate(walls.tolist(), 1)) for walls in (slow, fast)]
    ratios = divide_rounds(*by_round).values()
    assert geometric_interval(ratios) == pytest.approx([float(np.exp(end)) for end in spread_mean(np.log(slow / fast))])
    assert geometric_interval(ratios)[0] < geometric_mean(ratios) < geometric_interval(ratios)[1]


def test_one_traced_run_beside_five_others_is_covered_95_times_in_100() -> None:
    draw = np.random.default_rng(3)
    traced, others = TRUE * np.exp(draw.normal(0, 0.05, (2_000, 1))), np.exp(draw.normal(0, 0.05, (2_000, 5)))
    found = [divide_samples(*walls)[1] for walls in zip(traced.tolist(), others.tolist(), strict=True)]
    assert 0.93 <= np.mean([lower <= TRUE <= upper for lower, upper in found]) <= 0.97


@pytest.mark.parametrize("count", [5, 10, 20])
@pytest.mark.parametrize(("skewed", "least"), [(False, 0.93), (True, 0.86)])
def test_a_mean_is_covered(count: int, skewed: bool, least: float) -> None:
    draw = np.random.default_rng(count)
    values = draw.exponential(1.0, (SUITES, count)) if skewed else draw.normal(1.0, 0.1, (SUITES, count))
    found = [mean_interval(row) for row in values.tolist()]
    assert least <= np.mean([lower <= 1.0 <= upper for lower, upper in found]) <= 0.97


@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize(("skewed", "least"), [(False, 0.93), (True, 0.91)])
def test_a_mean_of_a_middle_half_is_covered(count: int, skewed: bool, least: float) -> None:
    draw = np.random.default_rng(count)
    values = draw.exponential(1.0, (2_000, count)) if skewed else draw.normal(1.0, 0.1, (2_000, count))
    # Of the exponential distribution: the integral of -log(1 - p) over p from 1/4 to 3/4, times 2.
    true = 1 - np.log(4) / 2 + 1.5 * np.log(4 / 3) if skewed else 1.0
    found = [interquartile_interval(row) for row in values.tolist()]
    assert least <= np.mean([lower <= true <= upper for lower, upper in found]) <= 0.975


@pytest.mark.parametrize("count", [5, 10, 20])
def test_a_rate_is_covered_95_times_in_100(count: int) -> None:
    draw = np.random.default_rng(count)
    seconds = draw.lognormal(0.0, 0.15, (SUITES, count))
    switches = 30.0 * seconds * draw.normal(1.0, 0.1, (SUITES, count))
    found = [sum_ratio_interval(*rows) for rows in zip(switches.tolist(), seconds.tolist(), strict=True)]
    assert 0.93 <= np.mean([lower <= 30.0 <= upper for lower, upper in found]) <= 0.97


def test_the_quantiles_are_those_of_the_printed_table() -> None:
    printed = {4: 2.776, 5: 2.571, 9: 2.262, 19: 2.093, 120: 1.980}
    assert {degrees: quantile_t(degrees) for degrees in printed} == pytest.approx(printed, abs=1e-3)


def test_ratios_by_hand() -> None:
    # Logarithms of 1, 2, 2, 2, 4 base 2: 0, 1, 1, 1, 2: mean 1, s = sqrt(1/2), and 2.776 s / sqrt(5) = .878.
    assert geometric_mean([1.0, 2.0, 2.0, 2.0, 4.0]) == pytest.approx(2.0)
    assert geometric_interval([1.0, 2.0, 2.0, 2.0, 4.0]) == pytest.approx((2**0.122, 2**1.878), rel=1e-3)


def test_a_round_that_lacks_one_of_the_two_counts_for_neither() -> None:
    assert divide_rounds({1: 2.0, 2: 6.0, 4: 9.0}, {2: 3.0, 3: 1.0, 4: 3.0}) == {2: 2.0, 4: 3.0}


def test_a_mean_of_what_is_never_negative_is_not_negative() -> None:
    assert mean_interval([0.0, 0.0, 0.0, 0.0, 5.0])[0] == 0.0
    assert mean_interval([-1.0, 0.0, 0.0, 0.0, 5.0])[0] < 0.0
    assert sum_ratio_interval([0.0, 0.0, 0.0, 0.0, 5.0], [10.0] * 5)[0] == 0.0
