"""Tables as CSV, JSON and Parquet, for other programs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pandas as pd

from tracekit.analysis.report.views import ReportView
from tracekit.analysis.tables import Tables
from tracekit.core.visible_text import make_visible

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet begins a formula with, also in the full width of East Asian scripts."""


def to_csv(tables: Tables) -> str:
    """metrics.csv: one line per metrics row."""
    return encode_csv(tables.metrics)


def to_json(tables: Tables) -> str:
    """metrics.json: a list of objects, one per metrics row of a cell or run and line; a missing value is null.

    The rows of processes and threads, most of a suite's, would make several megabytes: metrics.parquet has them.
    """
    plain = tables.metrics[tables.metrics["scope"].isin(("cell", "run"))].astype(object)
    rows = plain.where(plain.notna(), None).to_dict("records")
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"


def findings_json(view: ReportView) -> str:
    """The findings as a JSON list of objects, the answer first: diagnostic, sentence, advice, weight_ns."""
    lines = ",\n".join(json.dumps(asdict(item), ensure_ascii=False) for item in view.findings)
    return f"[\n{lines}\n]\n"


def encode_parquet(frame: pd.DataFrame) -> bytes:
    """Any table as Parquet, its texts as they are."""
    data: bytes = frame.to_parquet(None, index=False, compression="zstd")
    return data


def encode_csv(frame: pd.DataFrame) -> str:
    """Any table as CSV: a header, one line per row, empty where a value is missing.

    A text that a spreadsheet would take for a formula has a `'` before it; a number never has.
    """
    return frame.assign(**{str(name): _make_harmless(frame[name]) for name in frame}).to_csv(
        index=False, lineterminator="\n"
    )


def _make_harmless(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = [value for value in column.unique() if isinstance(value, str)]
    changed = {text: harmless for text in texts if (harmless := _guard(make_visible(text))) != text}
    return column.astype(object).map(lambda value: changed.get(value, value)) if changed else column


def _guard(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
