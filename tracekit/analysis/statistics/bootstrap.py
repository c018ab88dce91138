"""Bootstrap intervals: the spread of medians, and of means of a middle half, over resampled repeats.

The percentile bootstrap (B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): draw
as many values as there are, with replacement, RESAMPLES times.

Of a mean of a middle half the interval is expanded: drawn values spread less than true ones, by sqrt((n - 1) / n), and
of few values the tails are Student's, so the percentiles are those of sqrt(n / (n - 1)) t(n - 1) (T. Hesterberg, What
Teachers Should Know About the Bootstrap, The American Statistician 69, 2015). It covers 93 and 97 of 100 cases at n = 5
and 10, of exponential values 92 and 97, where the middle 95 % of the results cover 90 and 94, and 88 and 93
(tests/unit/analysis/statistics/test_coverage.py). Student's t itself would need the spread of what was trimmed, and the
stages of a start are trimmed by the length of its life and not by their own.

Of a median it is the middle 95 % of the results, which is its nominal confidence. Its true coverage, of independent
runs: of so few values the interval reaches from the least to the most (the least is the median of at least 2.5 % of the
draws up to n = 5, 5.8 % there), and misses the true median when all values lie on one side of it, 2 of 2^n cases: what
is called 95 % covers 75 % at n = 3, 88 % at n = 4 and 94 % at n = 5. Beyond 5 it moves between 88 % (n = 7) and 96 %
(n = 9), since a median has few places to be.

The seed is fixed and values are sorted first: the same runs give the same interval, in whatever order they
come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tracekit.analysis.statistics.intervals import LEAST, Floats, quantile_t

RESAMPLES = 4_000
_SEED = 20_250_101
_PERCENTILES = (2.5, 97.5)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median; NaN, NaN for fewer than LEAST values."""
    return interval(resampled_medians(values))


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half: hardly moved by outliers, as a median, with nearly the spread of a mean."""
    return float(_middle_halves(np.sort(np.asarray([values], dtype=np.float64), axis=1))[0])


def interquartile_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the interquartile mean; NaN, NaN for fewer than LEAST values."""
    if len(values) < LEAST:
        return (np.nan, np.nan)
    return expanded_interval(_middle_halves(_drawn(values)), len(values))


def _middle_halves(ordered: Floats) -> Floats:
    cut = ordered.shape[1] // 4
    means: Floats = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return means


def resampled_medians(values: Sequence[float]) -> Floats:
    """RESAMPLES medians (float64); all NaN for fewer than LEAST values."""
    if len(values) < LEAST:
        return np.full(RESAMPLES, np.nan)
    drawn, count = _drawn(values), len(values)
    medians: Floats = (drawn[:, (count - 1) // 2] + drawn[:, count // 2]) / 2
    return medians


def drawn_groups(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """RESAMPLES rows, each of whole groups drawn anew; `groups` has one row of indices per group.

    Values of one group, such as the starts of one run, are not independent, and must be drawn together.
    """
    drawn: npt.NDArray[np.int64] = groups[_indices(len(groups))].reshape(RESAMPLES, -1)
    return drawn


def expanded_interval(resampled: Floats, groups: int) -> tuple[float, float]:
    """95 % interval, expanded, of what was drawn from that many groups; NaN, NaN for fewer than LEAST."""
    if groups < LEAST:
        return (np.nan, np.nan)
    beyond = 100 * NormalDist().cdf(-math.sqrt(groups / (groups - 1)) * quantile_t(groups - 1))
    lower, upper = np.percentile(resampled, (beyond, 100 - beyond))
    return (float(lower), float(upper))


def interval(resampled: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled results: their 2.5th and 97.5th percentile, linearly interpolated."""
    lower, upper = np.percentile(resampled, _PERCENTILES)
    return (float(lower), float(upper))


def _drawn(values: Sequence[float]) -> Floats:
    """RESAMPLES rows, each ascending."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    drawn: Floats = ordered[_indices(len(ordered))]
    return drawn


@lru_cache(maxsize=4)
def _indices(count: int) -> npt.NDArray[np.int64]:
    # Sorted here, once for each count, so that no row of values has to be.
    return np.sort(np.random.default_rng([_SEED, 0]).integers(0, count, size=(RESAMPLES, count)), axis=1)
