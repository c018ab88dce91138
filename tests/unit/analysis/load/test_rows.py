"""Frames of several runs and sources below one another."""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.load.columns import Columns
from tracekit.analysis.tables import check, empty, from_columns, records


def frame(run_id: str, function: str | None, method: str, *, categories: bool) -> pd.DataFrame:
    rows = {"run_id": [run_id] * 2, "tid": [1, 2], "function": [function, None], "method": [method] * 2}
    made = from_columns("waits", rows)
    texts = ["run_id", "function", "method"]
    return made.assign(**{name: made[name].astype("category") for name in texts}) if categories else made


def test_categories_and_strings_become_categories() -> None:
    columns = Columns()
    columns.add_frame("waits", frame("a", "left", "waits-probe", categories=True))
    columns.add_frame("waits", frame("a", None, "kernel-uprobe", categories=False))
    columns.add_frame("waits", frame("b", "right", "waits-probe", categories=True))
    found = check("waits", columns.frame("waits"))
    assert isinstance(found["function"].dtype, pd.CategoricalDtype)
    assert [(row["run_id"], row["tid"], row["function"], row["method"]) for row in records(found)] == [
        ("a", 1, "left", "waits-probe"),
        ("a", 2, None, "waits-probe"),
        ("a", 1, None, "kernel-uprobe"),
        ("a", 2, None, "kernel-uprobe"),
        ("b", 1, "right", "waits-probe"),
        ("b", 2, None, "waits-probe"),
    ]


def test_integers_without_and_with_missing_ones_go_together() -> None:
    columns = Columns()
    whole = frame("a", None, "waits-probe", categories=True)
    columns.add_frame("waits", whole.assign(holder_tid=pd.Series([3, 4], dtype="int64")))
    columns.add_frame("waits", whole.assign(holder_tid=pd.Series([5, None], dtype="Int64")))
    found = check("waits", columns.frame("waits"))
    assert [row["holder_tid"] for row in records(found)] == [3, 4, 5, None]


def test_a_table_without_rows_is_the_callers_own() -> None:
    first = empty("waits")
    first["more"] = 1
    first["tid"] = first["tid"].astype("float64")
    pd.testing.assert_frame_equal(empty("waits"), from_columns("waits", {}))


def test_frames_without_rows_leave_no_trace() -> None:
    columns = Columns()
    columns.add_frame("waits", empty("waits"))
    pd.testing.assert_frame_equal(columns.frame("waits"), empty("waits"))
