"""Collects the rows of all bundles column by column, and makes each table once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tracekit.analysis.load.parse import text
from tracekit.analysis.tables import COLUMNS, empty, from_columns
from tracekit.core.notices import Notice


class Columns:
    """All tables under construction: rows added one by one, or whole frames (calls, samples, waits)."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, list[Any]]] = {
            table: {name: [] for name in names} for table, names in COLUMNS.items()
        }
        self._frames: dict[str, list[pd.DataFrame]] = {}
        self.stacks: dict[str, tuple[str, ...]] = {}
        """stack_id of `samples` -> its frames, root first."""
        self.pages: dict[str, str] = {}
        """workload -> the report page that it names."""

    def add(self, table: str, **values: Any) -> None:
        """Add one row; columns that are not given are missing."""
        for name, column in self._columns[table].items():
            value = values.get(name)
            column.append(text(value) if isinstance(value, str) else value)

    def add_frame(self, table: str, frame: pd.DataFrame) -> None:
        """Add the rows of a frame."""
        if len(frame):
            self._frames.setdefault(table, []).append(frame)

    def add_notice(self, notice: Notice, run_id: str | None = None) -> None:
        """Add a notice of a run, or of the suite without `run_id`."""
        self.add("notices", run_id=run_id, **notice._asdict())

    def frame(self, table: str) -> pd.DataFrame:
        """Make the frame of one table."""
        frames = self._frames.get(table)
        if frames:
            return frames[0].reset_index(drop=True) if len(frames) == 1 else _joined(table, frames)
        columns = self._columns[table]
        return from_columns(table, columns) if next(iter(columns.values())) else empty(table)


def _joined(table: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames column by column. A text column that is categorical in one frame stays categorical: as
    strings, ten million waits would be gigabytes.
    """
    return pd.DataFrame({name: _column([frame[name] for frame in frames]) for name in COLUMNS[table]}, copy=False)


def _column(parts: list[pd.Series[Any]]) -> pd.Series[Any]:
    if not any(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        return pd.concat(parts, ignore_index=True)
    return pd.Series(pd.api.types.union_categoricals([_categorical(part) for part in parts]))


def _categorical(part: pd.Series[Any]) -> pd.Categorical:
    """The same values as categories of dtype str, so that union_categoricals accepts them."""
    found = part.array if isinstance(part.dtype, pd.CategoricalDtype) else pd.Categorical(part)
    assert isinstance(found, pd.Categorical)
    return pd.Categorical.from_codes(found.codes, categories=found.categories.astype("str"))
