"""A metric: a name, how to read it, and the function that computes it; and the table of all metrics of a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.methods import mark_preferred
from tracekit.analysis.tables import check, empty

EVERYWHERE = "every system CPython runs on"
LINUX = "Linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. Its texts are what docs/metrics.md is made of."""

    name: str
    unit: str
    """`ns`, `bytes`, `count`, `ratio`, `share` or `1/s`, as units.format_value takes it."""
    better: str
    """`lower`, `higher` or `neither`."""
    needs: tuple[str, ...]
    """Tables it is computed from. When they are empty its rows say `unavailable`."""
    valid_on: str
    summary: str
    """One sentence: what it is."""
    method: str
    """How it is computed, and what it leaves out."""
    compute: Callable[[Analysis], pd.DataFrame]
    """Analysis -> rows of the table `metrics`, of this metric only. Raises nothing where data are missing."""
    computed_from: tuple[str, ...] = ()
    """The metrics that it is arithmetic on: it is as right as they are, and `make accuracy` compares these."""
    measured: bool = True
    """Whether a row of it can have quality `measured`; one that never has is compared by `make predictions` instead."""


def load_metric(name: str) -> Metric:
    """The metric of that name, or of `module:attribute`. Raises UsageError."""
    metric: Metric = METRICS.load(name)
    return metric


def compute_all(analysis: Analysis, names: Iterable[str] = METRICS) -> pd.DataFrame:
    """The metrics table: every named metric for every cell and run, unavailable ones included.

    Raises MeasurementError when a table lacks a column.
    """
    analysis.check_tables()
    frames = [check("metrics", load_metric(name).compute(analysis)) for name in names]
    # All frames come from `from_rows`, so their dtypes agree and an empty one would only cost pandas a guess.
    filled = [frame for frame in frames if len(frame)]
    return mark_preferred(pd.concat(filled, ignore_index=True)) if filled else empty("metrics")
