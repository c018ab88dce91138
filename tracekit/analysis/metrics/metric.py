"""What a metric is: a name, how to read it, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from tracekit.analysis.tables import Tables

EVERYWHERE = "every system CPython runs on"
LINUX = "Linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. Its text is what docs/metrics.md is made of."""

    name: str
    unit: str
    """`ns`, `bytes`, `count`, `ratio`, `share` or `1/s`, as units.format_value takes it."""
    better: str
    """`lower`, `higher`, or `neither`: a fact that is no merit."""
    needs: tuple[str, ...]
    """Tables it reads. When they are empty its rows say `unavailable`."""
    valid_on: str
    summary: str
    """One sentence: what it is."""
    method: str
    """How it is computed, and what it leaves out."""
    compute: Callable[[Tables], pd.DataFrame]
    """Tables -> rows of the table `metrics`, of this metric only. Changes nothing, raises nothing on missing
    data.
    """
