"""From one number per thread to numbers of threads, processes and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, Numbers, Place, bound, measured
from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.lifetimes import KEYS


def sum_threads(
    threads: pd.DataFrame,
    values: Ints,
    counted: Ints,
    method: str,
    *,
    reason: str | None = None,
    every: bool = False,
) -> dict[Place, Estimate]:
    """The measured number of each thread, and the sums over the threads of each process and run.

    threads   rows of the lifetimes table; the sums are over those that count, with `every` over all
    values    one number per row
    counted   per row, how many events the value is the sum of; added up it becomes `n`
    """
    return {
        place: measured(float(value), method, n=count, reason=reason)
        for place, (value,), count in _totals(threads, (values,), counted, every=every)
    }


def sum_bounds(
    threads: pd.DataFrame,
    ends: tuple[Ints, Ints, Ints],
    method: str,
    *,
    counted: Ints | None = None,
    reason: str | None = None,
    every: bool = False,
) -> dict[Place, Estimate]:
    """The same for bounds: lower end, value and upper end of each thread; without `counted`, `n` is the number of
    threads."""
    counted = np.ones(len(threads), np.int64) if counted is None else counted
    return {
        place: bound(float(lower), float(value), float(upper), method, n=count, reason=reason)
        for place, (lower, value, upper), count in _totals(threads, ends, counted, every=every)
    }


def join_methods(*parts: Mapping[Place, Estimate]) -> Numbers:
    """The estimates of several methods, place by place, in the order given."""
    together: dict[Place, list[Estimate]] = {}
    for part in parts:
        for place, estimate in part.items():
            together.setdefault(place, []).append(estimate)
    return together


def _totals(
    threads: pd.DataFrame, values: Sequence[Ints], counted: Ints, *, every: bool
) -> Iterator[tuple[Place, tuple[int, ...], int]]:
    """Place, sums and n of each thread, then of processes and runs. Threads that had the same id are one place."""
    # Plain loops: three group-bys of a table of some threads take pandas longer than all the rest of a metric.
    places = list(zip(*(threads[name].tolist() for name in KEYS), strict=True))
    counts = [True] * len(places) if every else threads["counts"].to_numpy(bool).tolist()
    rows = list(zip(*(column.tolist() for column in (*values, counted)), strict=True))
    for length in (3, 2, 1):
        sums: dict[Place, list[int]] = {}
        for place, counting, row in zip(places, counts, rows, strict=True):
            if counting or length == 3:
                known = sums.setdefault(place[:length], [0] * len(row))
                for index, value in enumerate(row):
                    known[index] += value
        for place, (*totals, count) in sums.items():
            yield place, tuple(totals), count
