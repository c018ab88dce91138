"""The records of one suite as metrics need them: its runs, cells, processes and counters, straight from the tables."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from tracekit.analysis.metrics import counters, names
from tracekit.analysis.metrics.cells.cell_runs import CellRuns, group_cells, is_program, select_usable
from tracekit.analysis.metrics.counters import MEASURED_ROLES, Since
from tracekit.analysis.metrics.estimate import Place
from tracekit.analysis.metrics.task_spans import find_submit_returns
from tracekit.analysis.tables import COLUMNS, Tables, check, records
from tracekit.bundle.names import UNTRACED, is_light

TableRecord = dict[str, Any]
"""One row of a table, None for what is missing."""


class SuiteRecords:
    """The part of an Analysis that only selects and groups rows. Times are ns of CLOCK_MONOTONIC, or lengths."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._changes: dict[tuple[str, str, Since], pd.DataFrame] = {}
        self._machine_changes: dict[str, pd.DataFrame] = {}

    def check_tables(self) -> None:
        """Raises MeasurementError when a table lacks a column or has one of another type."""
        for name in COLUMNS:
            check(name, self._tables.table(name))

    @property
    def tables(self) -> Tables:
        """The tables themselves, for the report, which shows some of their rows as they are."""
        return self._tables

    @property
    def suite(self) -> dict[str, Any]:
        """What belongs to no row: the suite's id, command, environments."""
        return self._tables.suite

    @cached_property
    def runs(self) -> list[TableRecord]:
        """All runs, failed ones and warm-ups included."""
        return records(self._tables.runs)

    @cached_property
    def usable_runs(self) -> list[TableRecord]:
        """Runs that ended ok and are no warm-up, traced ones included; see `select_usable`."""
        return select_usable(self.runs)

    @cached_property
    def usable_ids(self) -> frozenset[str]:
        """The ids of the usable runs."""
        return frozenset(run["run_id"] for run in self.usable_runs)

    @cached_property
    def gil_off_ids(self) -> frozenset[str]:
        """The ids of usable runs whose interpreter runs without the GIL."""
        return frozenset(run["run_id"] for run in self.usable_runs if run["gil_enabled"] is False)

    @cached_property
    def run_windows(self) -> dict[str, tuple[int, int]]:
        """Start and end of each usable run of which both are known."""
        return {
            run["run_id"]: (run["start_ns"], run["start_ns"] + run["wall_ns"])
            for run in self.usable_runs
            if run["start_ns"] is not None and run["wall_ns"] is not None
        }

    @cached_property
    def processes(self) -> list[TableRecord]:
        """All processes."""
        return records(self._tables.processes)

    @cached_property
    def measured_processes(self) -> dict[str, list[Place]]:
        """Per run: (run_id, pid) of its main and worker processes."""
        found: dict[str, list[Place]] = {}
        for process in self.processes:
            if process["role"] in MEASURED_ROLES:
                found.setdefault(process["run_id"], []).append((process["run_id"], process["pid"]))
        return found

    @cached_property
    def untraced_cells(self) -> list[CellRuns]:
        """Cells of untraced runs, by which models can be compared."""
        return group_cells(run for run in self.runs if run["capture"] == UNTRACED and not is_program(run))

    @cached_property
    def timed_cells(self) -> list[CellRuns]:
        """Cells that give timings: untraced ones, and programs."""
        return group_cells(run for run in self.runs if run["capture"] == UNTRACED or is_program(run))

    @cached_property
    def lightly_traced_cells(self) -> list[CellRuns]:
        """The timed cells and those of light captures: cells that say where the time went."""
        return group_cells(
            run for run in self.runs if run["capture"] == UNTRACED or is_program(run) or is_light(run["capture"])
        )

    @cached_property
    def traced_cells(self) -> list[CellRuns]:
        """Cells of traced runs, each of which may have an untraced twin."""
        return group_cells(run for run in self.runs if run["capture"] != UNTRACED and not is_program(run))

    def walls_by_round(self, cell: CellRuns) -> dict[int, float]:
        """Round of the suite -> how long the cell's run of it took, ns."""
        of_runs = (
            (self._usable_by_id[run_id]["repeat"], self._usable_by_id[run_id]["wall_ns"]) for run_id in cell.runs
        )
        return {repeat: float(wall) for repeat, wall in of_runs if wall}

    @cached_property
    def _usable_by_id(self) -> dict[str, TableRecord]:
        return {run["run_id"]: run for run in self.usable_runs}

    def processes_of(self, run_id: str) -> dict[int, names.NamedRow]:
        """The processes of a run by pid."""
        return names.processes_of(self._tables, run_id)

    def threads_of(self, run_id: str) -> dict[tuple[int, int], names.NamedRow]:
        """The threads of a run by (pid, tid)."""
        return names.threads_of(self._tables, run_id)

    def counter_changes(self, counter: str, scope: str, since: Since = Since.BIRTH) -> pd.DataFrame:
        """What a counter of processes or threads counted in each run; columns in `counters.compute_changes`."""
        key = (counter, scope, since)
        if key not in self._changes:
            self._changes[key] = counters.compute_changes(self._tables, counter, scope, since)
        return self._changes[key]

    def machine_changes(self, counter: str) -> pd.DataFrame:
        """What a counter of the machine counted in each run: run_id, value, reading."""
        if counter not in self._machine_changes:
            self._machine_changes[counter] = counters.compute_machine_changes(self._tables, counter)
        return self._machine_changes[counter]

    def counter_readings(self, scope: str, counter: str | None = None) -> list[TableRecord]:
        """The readings of one counter of that scope, or of all."""
        found = self._tables.counters
        found = found[found["scope"] == scope]
        return records(found if counter is None else found[found["counter"] == counter])

    def runs_without_counter(self, counter: str) -> dict[str, frozenset[str]]:
        """Runs whose processes were read but not this counter of theirs, with the sources of their readings."""
        read = self._tables.counters
        read = read[read["at"].notna() & (read["scope"] != "machine")]
        lacking = set(read["run_id"]) - set(read.loc[read["counter"] == counter, "run_id"])
        sources = read.loc[read["run_id"].isin(list(lacking)), ["run_id", "source"]].dropna().drop_duplicates()
        return {str(run_id): frozenset(of_run) for run_id, of_run in sources.groupby("run_id")["source"]}

    @cached_property
    def observations(self) -> list[TableRecord]:
        """What the workload of each run observed about itself."""
        return records(self._tables.observations)

    @cached_property
    def pickles(self) -> dict[str, list[TableRecord]]:
        """Per run: what each item and its result cost to pickle."""
        found: dict[str, list[TableRecord]] = {}
        for row in records(self._tables.pickles):
            found.setdefault(row["run_id"], []).append(row)
        return found

    @cached_property
    def worker_starts(self) -> list[TableRecord]:
        """The stamps of each start of a worker."""
        return records(self._tables.starts)

    @cached_property
    def worker_threads(self) -> list[TableRecord]:
        """The threads of role worker."""
        return records(self._tables.threads[self._tables.threads["role"] == "worker"])

    @cached_property
    def submit_returns(self) -> dict[str, dict[int, int]]:
        """Per run: item -> when the call that submitted it returned."""
        return find_submit_returns(self._tables.spans)

    @cached_property
    def shutdowns(self) -> dict[str, list[int]]:
        """Per run: how long each end of its workers took, from the request to the last join."""
        found: dict[str, list[int]] = {}
        for row in records(self._tables.spans[self._tables.spans["name"] == "shutdown"]):
            if row["dur_ns"] is not None:
                found.setdefault(row["run_id"], []).append(row["dur_ns"])
        return found
