"""Which runs a metric may use, and which of them are repeats of one another.

Timings (wall, speed-up, memory, what a start costs) come from untraced runs only. Captures that hardly disturb what
they watch, LIGHT, also give cells for what only they can tell: waits, the ledger, switches. The others (viztracer,
py-spy) give rows of runs and their probe effect. A program that `tracekit record` ran was made once, so its one run
is the cell, whatever watched it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import CELL, Tables, records
from tracekit.bundle.names import PROGRAM, UNTRACED, is_light, split_capture


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: its CELL columns, what else its runs have in common, and the ids of the runs that count."""

    suite_id: str
    columns: Mapping[str, Any]
    kind: str
    control: bool
    runs: tuple[str, ...]
    """Runs that ended ok and are no warm-up. May be empty: then everything about the cell is unavailable."""
    warmups: tuple[str, ...]
    """Warm-up runs that ended ok, where memory was read."""

    def same(self, other: Cell, *columns: str) -> bool:
        """Whether both agree in these CELL columns."""
        return all(self.columns[name] == other.columns[name] for name in columns)

    @property
    def model(self) -> str:
        return str(self.columns["model"])

    @property
    def starts_processes(self) -> bool:
        return bool(self.columns["start_method"])


def untraced_cells(tables: Tables) -> list[Cell]:
    """Every cell of untraced runs that models can be compared by."""
    return cells(tables, lambda run: run["capture"] == UNTRACED and not is_program(run))


def timed_cells(tables: Tables) -> list[Cell]:
    """Cells that give timings: untraced ones, and programs."""
    return cells(tables, lambda run: run["capture"] == UNTRACED or is_program(run))


def told_cells(tables: Tables) -> list[Cell]:
    """Cells that say where time went: untraced ones, programs, and those of light captures."""
    return cells(tables, lambda run: run["capture"] == UNTRACED or is_program(run) or is_light(run["capture"]))


def traced_cells(tables: Tables) -> list[Cell]:
    """Every cell of traced runs that has an untraced twin or could have one."""
    return cells(tables, lambda run: run["capture"] != UNTRACED and not is_program(run))


def cells(tables: Tables, wanted: Callable[[Mapping[str, Any]], bool]) -> list[Cell]:
    """The cells of the runs that are wanted, in the order the suite first names them."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in _all_runs(tables):
        if wanted(run):
            groups.setdefault(tuple(run[name] for name in CELL), []).append(run)
    return [_cell(runs) for runs in groups.values()]


def captures(run: Mapping[str, Any]) -> frozenset[str]:
    """What watched a run: the parts of `waits+kernel`; empty when untraced."""
    return split_capture(str(run["capture"]))


def is_program(run: Mapping[str, Any]) -> bool:
    """Whether `tracekit record` made the run."""
    return bool(run["model"] == PROGRAM)


@once
def usable_runs(tables: Tables) -> list[dict[str, Any]]:
    """Runs that ended ok and are no warm-up, traced ones included, as dicts of their columns.

    A program may end as it likes, by Ctrl-C or with an exit code: what was recorded of it counts as far as it goes.
    """
    return [run for run in _all_runs(tables) if _ok(run) and not run["warmup"]]


@once
def _all_runs(tables: Tables) -> list[dict[str, Any]]:
    return records(tables.runs)


def _cell(runs: list[dict[str, Any]]) -> Cell:
    first = runs[0]
    return Cell(
        suite_id=first["suite_id"],
        columns={name: first[name] for name in CELL},
        kind=first["kind"] or "",
        control=bool(first["control"]),
        runs=tuple(run["run_id"] for run in runs if _ok(run) and not run["warmup"]),
        warmups=tuple(run["run_id"] for run in runs if _ok(run) and run["warmup"]),
    )


def _ok(run: Mapping[str, Any]) -> bool:
    return bool(run["status"] == "ok" or (is_program(run) and run["wall_ns"] is not None))
