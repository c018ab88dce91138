"""Collects the rows of many bundles, column by column, and makes tables of them once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tracekit.analysis.load.parse import text
from tracekit.analysis.tables import COLUMNS, empty, from_columns
from tracekit.core.notices import Notice


class Columns:
    """All tables under construction. Frames that come whole (calls, samples) are kept whole."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, list[Any]]] = {
            table: {name: [] for name in names} for table, names in COLUMNS.items()
        }
        self._frames: dict[str, list[pd.DataFrame]] = {}
        self.stacks: dict[str, tuple[str, ...]] = {}
        """stack_id -> frames, root first: what the samples' ids stand for."""

    def add(self, table: str, **values: Any) -> None:
        """One row; a column that is not given is missing."""
        for name, column in self._columns[table].items():
            value = values.get(name)
            column.append(text(value) if isinstance(value, str) else value)

    def add_frame(self, table: str, frame: pd.DataFrame) -> None:
        """Rows that are a frame already."""
        if len(frame):
            self._frames.setdefault(table, []).append(frame)

    def add_notice(self, notice: Notice, run_id: str | None = None) -> None:
        """One notice, of a run or of the whole suite."""
        self.add("notices", run_id=run_id, **notice._asdict())

    def frame(self, table: str) -> pd.DataFrame:
        """What was collected for one table."""
        frames = self._frames.get(table)
        if frames:
            return frames[0].reset_index(drop=True) if len(frames) == 1 else _joined(table, frames)
        columns = self._columns[table]
        return from_columns(table, columns) if next(iter(columns.values())) else empty(table)


def _joined(table: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames below one another, column by column. Texts that are categories in one of them stay categories:
    as strings, ten million waits would be gigabytes.
    """
    return pd.DataFrame({name: _column([frame[name] for frame in frames]) for name in COLUMNS[table]}, copy=False)


def _column(parts: list[pd.Series[Any]]) -> pd.Series[Any]:
    if not any(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        return pd.concat(parts, ignore_index=True)
    return pd.Series(pd.api.types.union_categoricals([_categorical(part) for part in parts]))


def _categorical(part: pd.Series[Any]) -> pd.Categorical:
    """The same values; the categories of all parts must be of one type to be united."""
    found = part.array if isinstance(part.dtype, pd.CategoricalDtype) else pd.Categorical(part)
    assert isinstance(found, pd.Categorical)
    return pd.Categorical.from_codes(found.codes, categories=found.categories.astype("str"))
