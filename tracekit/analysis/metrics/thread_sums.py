"""From a number per thread to numbers of threads, processes, runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, bound, measured
from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.rows import Numbers, Place


def summed(
    threads: pd.DataFrame,
    values: Ints,
    counted: Ints,
    method: str,
    *,
    reason: str | None = None,
    every: bool = False,
) -> dict[Place, Estimate]:
    """Measured numbers of each thread (rows of `lives`), and of each process and run over the threads that count, or
    over `every` thread. `counted` is how many things a value was added up from; it becomes `n`.
    """
    return {
        place: measured(float(value), method, n=count, reason=reason)
        for place, (value,), count in _totals(threads, (values,), counted, every=every)
    }


def summed_bounds(
    threads: pd.DataFrame, ends: tuple[Ints, Ints, Ints], method: str, *, reason: str | None = None
) -> dict[Place, Estimate]:
    """The same for intervals: lower end, value, upper end of each thread; `n` is the number of threads."""
    return {
        place: bound(float(lower), float(value), float(upper), method, n=count, reason=reason)
        for place, (lower, value, upper), count in _totals(threads, ends, np.ones(len(threads), np.int64), every=False)
    }


def joined(*parts: Mapping[Place, Estimate]) -> Numbers:
    """What several methods found, place by place."""
    together: dict[Place, list[Estimate]] = {}
    for part in parts:
        for place, estimate in part.items():
            together.setdefault(place, []).append(estimate)
    return together


def _totals(
    threads: pd.DataFrame, values: Sequence[Ints], counted: Ints, *, every: bool
) -> Iterator[tuple[Place, tuple[int, ...], int]]:
    """Each thread, then the processes and runs: place, sums, n. Threads that had the same id are one place."""
    names = [str(index) for index in range(len(values))]
    frame = threads[KEYS].assign(**dict(zip(names, values, strict=True)), n=counted)
    counting = frame if every else frame[threads["counts"].to_numpy(bool)]
    for part, keys in ((frame, KEYS), (counting, KEYS[:2]), (counting, KEYS[:1])):
        sums = part.groupby(keys, sort=False)[[*names, "n"]].sum().reset_index()
        columns = [sums[name].tolist() for name in (*keys, *names, "n")]
        for row in zip(*columns, strict=True):
            yield row[: len(keys)], row[len(keys) : -1], row[-1]
