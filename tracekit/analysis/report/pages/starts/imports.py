"""The imports of a spawned worker, module by module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.report.views import RowGroup, Section, TableField, TableRow, TableView
from tracekit.analysis.tables import Tables, records
from tracekit.core.units import format_ns

_MOST = 12
_LEAST_SHARE = 0.005
"""Of all imports: what takes less is not worth a row."""
_INSIDE = 3
_STAGES = {"start": "interpreter, site, imports", "main": "main module", "unpickle": "unpickling"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A module that no other module imported, with all that it imported itself.

    `inside`: (package, ns) of the packages that took longest in it, itself among them.
    """

    section: str
    module: str
    took_ns: int
    inside: tuple[tuple[str, int], ...]


def imported(tables: Tables, python: str) -> tuple[Imported, ...]:
    """The top modules of one spawned worker of that interpreter, the longest import first; empty where none was
    recorded."""
    runs = {run["run_id"] for run in records(tables.runs) if run["python"] == python}
    rows = [row for row in records(tables.imports) if row["run_id"] in runs]
    # One worker is enough: that of the first run.
    rows = [row for row in rows if row["run_id"] == rows[0]["run_id"]]
    found: list[Imported] = []
    below: list[Mapping[str, Any]] = []
    for row in rows:
        below.append(row)
        if row["depth"] == 0:
            found.append(_top(row, below))
            below = []
    return tuple(sorted(found, key=lambda item: -item.took_ns))


def _top(row: Mapping[str, Any], below: list[Mapping[str, Any]]) -> Imported:
    packages: dict[str, int] = {}
    for item in below:
        package = item["module"].partition(".")[0]
        packages[package] = packages.get(package, 0) + item["self_ns"]
    longest = sorted(packages.items(), key=lambda pair: -pair[1])
    return Imported(
        section=row["section"], module=row["module"], took_ns=row["cumulative_ns"], inside=tuple(longest[:_INSIDE])
    )


def section(tables: Tables, pythons: Mapping[str, str]) -> Section | None:
    """The imports of each interpreter; None without any. `pythons`: name -> heading."""
    groups = []
    for python, heading in pythons.items():
        found = imported(tables, python)
        if found:
            groups.append(RowGroup(label=heading if len(pythons) > 1 else "", rows=_rows(found)))
    if not groups:
        return None
    table = TableView(
        title="Imports of a spawned worker",
        caption="Printed by Python itself (-X importtime) for one worker of the warm-up run, which slows imports by "
        "some tenths. Each row is a module with all that it imports, the longest first. Under forkserver the server "
        "has the first of these stages, and every worker the other two; a forked worker has none.",
        columns=(("Module", "stage"), ("Took", ""), ("Of that, by package", "")),
        groups=tuple(groups),
        legend=(),
    )
    return Section(slug="imports", title="Imports", tables=(table,))


def _rows(found: tuple[Imported, ...]) -> tuple[TableRow, ...]:
    whole = sum(item.took_ns for item in found)
    worth = [item for item in found if item.took_ns >= _LEAST_SHARE * whole][:_MOST]
    return tuple(
        TableRow(
            family="",
            label=item.module,
            detail=_STAGES.get(item.section, item.section),
            fields=(
                TableField(main=format_ns(item.took_ns)),
                TableField(main=", ".join(f"{name} {format_ns(took)}" for name, took in item.inside), words=True),
            ),
        )
        for item in worth
    )
