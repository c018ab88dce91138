"""One number with what is known about it, and the rule by which repeats become one number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracekit.analysis.metrics import bootstrap

NO_INTERVAL = f"n < {bootstrap.LEAST}: no interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its interval, as one row of the metrics table has them. `quality` is one of
    tables.QUALITIES.
    """

    value: float
    lower: float
    upper: float
    method: str
    quality: str
    n: int = 1
    reason: str | None = None

    @property
    def available(self) -> bool:
        return self.quality != "unavailable"


def measured(
    value: float,
    method: str,
    *,
    interval: tuple[float, float] | None = None,
    n: int = 1,
    reason: str | None = None,
) -> Estimate:
    """A number read off a clock or counter. Without an interval a single reading is its own: lower = value =
    upper.
    """
    lower, upper = (value, value) if interval is None else interval
    if math.isnan(lower) or math.isnan(upper):
        lower = upper = math.nan
        reason = reason or NO_INTERVAL
    else:
        # A resampled interval may by chance miss the very value it belongs to.
        lower, upper = min(lower, value), max(upper, value)
    return Estimate(value=value, lower=lower, upper=upper, method=method, quality="measured", n=n, reason=reason)


def bound(lower: float, value: float, upper: float, method: str, *, n: int = 1, reason: str | None = None) -> Estimate:
    """A number of which only the interval is known; `value` is the best guess inside it."""
    inside = min(max(value, lower), upper)
    return Estimate(value=inside, lower=lower, upper=upper, method=method, quality="bound", n=n, reason=reason)


def unavailable(reason: str) -> Estimate:
    """Not known, and why."""
    nan = math.nan
    return Estimate(value=nan, lower=nan, upper=nan, method="", quality="unavailable", n=0, reason=reason)


def pooled_median(estimates: Sequence[Estimate]) -> Estimate:
    """The median of the runs of a cell.

    Measured runs get the bootstrap interval of their median. Bounds keep being bounds: the true median lies
    between the median of the lower and the median of the upper ends, since each run's truth lies between its
    own.
    """
    return _pooled(estimates, np.median, bootstrap.median_interval)


def pooled_mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of the runs of a cell, for parts that must still add up to their whole after pooling."""
    return _pooled(estimates, np.mean, bootstrap.mean_interval)


def pooled_sum(estimates: Sequence[Estimate]) -> Estimate:
    """The sum over the runs of a cell, for what is rare enough that its median would hide it."""
    known = [item for item in estimates if item.available]
    if not known:
        return _why_not(estimates)
    total = sum(item.value for item in known)
    return measured(total, f"{_methods(known)}, sum of runs", n=len(known))


def _pooled(
    estimates: Sequence[Estimate],
    middle: Callable[[Sequence[float]], np.floating],
    interval: Callable[[Sequence[float]], tuple[float, float]],
) -> Estimate:
    known = [item for item in estimates if item.available]
    if not known:
        return _why_not(estimates)
    value = float(middle([item.value for item in known]))
    method, count, reason = _methods(known), len(known), _reason(known)
    qualities = {item.quality for item in known}
    # Estimates that say nothing of their own doubt have that of their spread, as what was measured has.
    alone = qualities == {"estimated"} and all(item.lower == item.value == item.upper for item in known)
    if qualities == {"measured"} or alone:
        ends = interval([item.value for item in known])
        pooled = measured(value, method, interval=ends, n=count, reason=reason)
        return replace(pooled, quality=known[0].quality)
    lower = float(middle([item.lower for item in known]))
    upper = float(middle([item.upper for item in known]))
    pooled = bound(lower, value, upper, method, n=count, reason=reason)
    return replace(pooled, quality="estimated") if qualities == {"estimated"} else pooled


def _why_not(estimates: Sequence[Estimate]) -> Estimate:
    if not estimates:
        return unavailable("no run of this cell ended ok")
    return unavailable(_reason(estimates) or "not recorded")


def _reason(estimates: Sequence[Estimate]) -> str | None:
    reasons = Counter(item.reason for item in estimates if item.reason)
    # The text decides between equally frequent reasons, so that the order of rows does not.
    return min(reasons, key=lambda text: (-reasons[text], text)) if reasons else None


def _methods(estimates: Sequence[Estimate]) -> str:
    return " + ".join(sorted({item.method for item in estimates}))
