"""Which runs a metric may use, and which of them are repeats of one another.

Timings (wall, speed-up, memory, what a start costs) come from untraced runs only. Light captures, which hardly disturb
the program, also give cells for what only they record: waits, the ledger, switches. The others (viztracer, py-spy)
give rows of runs and their probe effect. A program that `tracekit record` ran was run once, so its one run is the
cell, whatever the capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.tables import CELL
from tracekit.bundle.names import PROGRAM

CellKey = tuple[Any, ...]
"""The values of the CELL columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRuns:
    """The repeats of one cell: its CELL columns, what else its runs have in common, and the ids of the runs."""

    suite_id: str
    columns: Mapping[str, Any]
    kind: str
    control: bool
    runs: tuple[str, ...]
    """Runs that ended ok and are no warm-up. May be empty: then everything about the cell is unavailable."""
    warmups: tuple[str, ...]
    """Warm-up runs that ended ok, where memory was read."""

    def same(self, other: CellRuns, *columns: str) -> bool:
        """Whether both agree in these CELL columns."""
        return all(self.columns[name] == other.columns[name] for name in columns)

    @property
    def key(self) -> CellKey:
        """Its CELL columns, for a dict."""
        return tuple(self.columns[name] for name in CELL)

    @property
    def model(self) -> str:
        return str(self.columns["model"])

    @property
    def starts_processes(self) -> bool:
        return bool(self.columns["start_method"])


def group_cells(runs: Iterable[Mapping[str, Any]]) -> list[CellRuns]:
    """The cells of these runs (rows of the table), in the order in which the suite first names them."""
    groups: dict[CellKey, list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run[name] for name in CELL), []).append(run)
    return [_cell(of_cell) for of_cell in groups.values()]


def select_usable(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs that ended ok and are no warm-up, traced ones included.

    A program may end in any way, by Ctrl-C or with an exit code: what was recorded of it counts.
    """
    return [run for run in runs if _ok(run) and not run["warmup"]]


def is_program(run: Mapping[str, Any]) -> bool:
    """Whether `tracekit record` made the run."""
    return bool(run["model"] == PROGRAM)


def _cell(runs: list[Mapping[str, Any]]) -> CellRuns:
    first = runs[0]
    return CellRuns(
        suite_id=first["suite_id"],
        columns={name: first[name] for name in CELL},
        kind=first["kind"] or "",
        control=bool(first["control"]),
        runs=tuple(run["run_id"] for run in runs if _ok(run) and not run["warmup"]),
        warmups=tuple(run["run_id"] for run in runs if _ok(run) and run["warmup"]),
    )


def _ok(run: Mapping[str, Any]) -> bool:
    return bool(run["status"] == "ok" or (is_program(run) and run["wall_ns"] is not None))
