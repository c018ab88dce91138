"""The marks that a recorded program set itself: when, where, and between which of them a report can be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit.analysis.metrics.names import Names
from tracekit.analysis.report.views import RowGroup, TableField, TableRow, TableView
from tracekit.analysis.tables import Tables, records
from tracekit.core.units import format_ns, plural

_MOST = 20


def marks_table(tables: Tables, run: Mapping[str, Any], names: Names) -> TableView | None:
    """The first marks, in time; None without any."""
    marks = records(tables.marks[tables.marks["run_id"] == run["run_id"]])
    if not marks or run["start_ns"] is None:
        return None
    rows = [
        TableRow(
            family="plain",
            label=row["name"] or "(no name)",
            detail="",
            fields=(
                TableField(main=format_ns(row["ts_ns"] - run["start_ns"])),
                TableField(main=names.thread(row["pid"], row["tid"]), sub=names.process(row["pid"]), words=True),
            ),
        )
        for row in marks[:_MOST]
    ]
    if rest := marks[_MOST:]:
        fields = (TableField(main="–"), TableField(main="–"))
        rows.append(TableRow(family="plain", label=plural(len(rest), "other mark"), detail="", fields=fields))
    return TableView(
        title="Marks",
        caption='Moments that the program named by tracekit.mark: tracekit report --window "FROM..TO" is the report of '
        "the time between two of them.",
        columns=(("Mark", ""), ("At", ""), ("Thread", "process")),
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(),
    )
