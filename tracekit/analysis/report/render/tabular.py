"""metrics.csv and metrics.json: the metrics table as it is, for other programs."""

from __future__ import annotations

import json

from tracekit.analysis.tables import Tables


def to_csv(tables: Tables) -> str:
    """One line per metrics row, a header, empty where a value is missing."""
    return tables.metrics.to_csv(index=False, lineterminator="\n")


def to_json(tables: Tables) -> str:
    """A list of objects, one per metrics row and line; a missing value is null, never NaN."""
    plain = tables.metrics.astype(object)
    rows = plain.where(plain.notna(), None).to_dict("records")
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"
