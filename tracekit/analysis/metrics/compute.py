"""All metrics of one suite, as one long table."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import Metric
from tracekit.analysis.metrics.once import remembering
from tracekit.analysis.tables import COLUMNS, Tables, check


def load_metric(name: str) -> Metric:
    """The metric of that name, or of `module:attribute`. Raises UsageError."""
    metric: Metric = METRICS.load(name)
    return metric


def compute_all(tables: Tables, names: Iterable[str] = METRICS) -> pd.DataFrame:
    """The metrics table: every named metric for every cell and run, unavailable ones included.

    `tables` is not changed. Raises MeasurementError when a table lacks a column.
    """
    for name in COLUMNS:
        check(name, tables.table(name))
    with remembering():
        frames = [check("metrics", load_metric(name).compute(tables)) for name in names]
    # All frames come from `from_rows`, so their dtypes agree and an empty one would only cost pandas a guess.
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else check("metrics", tables.metrics.iloc[:0])
