"""A number with its interval and its origin, and the rules by which the repeats of a cell become one number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracekit.analysis.statistics import bootstrap
from tracekit.analysis.statistics.intervals import LEAST, mean_interval

NO_INTERVAL = f"n < {LEAST}: no interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its interval, as in one row of the metrics table.

    quality   one of tables.QUALITIES
    n         from how many readings, runs or tasks
    reason    why the value is unavailable, or a remark on it
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


Place = tuple[Any, ...]
"""(run_id, pid) of a process, (run_id, pid, tid) of a thread, (run_id,) of a run."""

Numbers = Mapping[Place, Sequence[Estimate]]
"""For each place the estimates of all methods that have one."""


def measured(
    value: float,
    method: str,
    *,
    interval: tuple[float, float] | None = None,
    n: int = 1,
    reason: str | None = None,
) -> Estimate:
    """A number read from a clock or counter. Without an interval lower = value = upper."""
    lower, upper = (value, value) if interval is None else interval
    if math.isnan(lower) or math.isnan(upper):
        lower = upper = math.nan
        reason = reason or NO_INTERVAL
    else:
        # A resampled interval may by chance miss the very value it belongs to.
        lower, upper = min(lower, value), max(upper, value)
    return Estimate(value=value, lower=lower, upper=upper, method=method, quality="measured", n=n, reason=reason)


def bound(lower: float, value: float, upper: float, method: str, *, n: int = 1, reason: str | None = None) -> Estimate:
    """A number of which only the interval lower..upper is known; `value` is the best guess inside it."""
    inside = min(max(value, lower), upper)
    return Estimate(value=inside, lower=lower, upper=upper, method=method, quality="bound", n=n, reason=reason)


def unavailable(reason: str) -> Estimate:
    """No number, and the reason why."""
    nan = math.nan
    return Estimate(value=nan, lower=nan, upper=nan, method="", quality="unavailable", n=0, reason=reason)


def pooled_median(estimates: Sequence[Estimate]) -> Estimate:
    """The median of the runs of a cell.

    Measured runs get the bootstrap interval of their median. Bounds give a bound: the true median lies between the
    median of the lower ends and the median of the upper ends, since each run's true value lies between its own ends.
    """
    return _pooled(estimates, np.median, bootstrap.median_interval)


def pooled_mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of the runs of a cell, for parts that must still add up to the whole after pooling."""
    return _pooled(estimates, np.mean, mean_interval)


def pooled_sum(estimates: Sequence[Estimate]) -> Estimate:
    """The sum over the runs of a cell, for events so rare that a median would hide them."""
    known = [item for item in estimates if item.available]
    if not known:
        return _unavailable_because(estimates)
    total = sum(item.value for item in known)
    return measured(total, f"{_methods(known)}, sum of runs", n=len(known))


def _pooled(
    estimates: Sequence[Estimate],
    middle: Callable[[Sequence[float]], np.floating],
    interval: Callable[[Sequence[float]], tuple[float, float]],
) -> Estimate:
    known = [item for item in estimates if item.available]
    if not known:
        return _unavailable_because(estimates)
    value = float(middle([item.value for item in known]))
    method, count, reason = _methods(known), len(known), _reason(known)
    qualities = {item.quality for item in known}
    # Estimates without an interval of their own get one from their spread, as measured numbers do.
    alone = qualities == {"estimated"} and all(item.lower == item.value == item.upper for item in known)
    if qualities == {"measured"} or alone:
        ends = interval([item.value for item in known])
        pooled = measured(value, method, interval=ends, n=count, reason=reason)
        return replace(pooled, quality=known[0].quality)
    lower = float(middle([item.lower for item in known]))
    upper = float(middle([item.upper for item in known]))
    pooled = bound(lower, value, upper, method, n=count, reason=reason)
    return replace(pooled, quality="estimated") if qualities == {"estimated"} else pooled


def _unavailable_because(estimates: Sequence[Estimate]) -> Estimate:
    if not estimates:
        return unavailable("no run of this cell ended ok")
    return unavailable(_reason(estimates) or "not recorded")


def _reason(estimates: Sequence[Estimate]) -> str | None:
    reasons = Counter(item.reason for item in estimates if item.reason)
    # The text decides between equally frequent reasons, so that the order of rows does not.
    return min(reasons, key=lambda text: (-reasons[text], text)) if reasons else None


def _methods(estimates: Sequence[Estimate]) -> str:
    return " + ".join(sorted({item.method for item in estimates}))
