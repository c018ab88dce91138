"""The tidy tables: their names, columns and dtypes, and the check of a table against them.

All stages after `load` take these tables and nothing else. `int` columns may be nullable (`Int64`); a stamp that was
not taken is `<NA>`, never 0. All `*_ns` columns are integer nanoseconds of CLOCK_MONOTONIC or durations. `text` columns
may be categories: those of `waits` and `holds` are, which can have millions of rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from tracekit.bundle.stream_records import DIMENSIONS
from tracekit.core.errors import MeasurementError

_CELL = {
    "workload": "text",
    "size": "text",
    "parameters": "text",
    "model": "text",
    "workers": "int",
    "start_method": "text",
    "capture": "text",
    "os": "text",
    "python": "text",
}
"""The columns that name a cell. Runs of one cell may be pooled; a metrics row carries them so that it stands alone."""

CELL = tuple(_CELL)

COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "suite_id": "text",
        "run_id": "text",
        **_CELL,
        "kind": "text",
        "control": "bool",
        "repeat": "int",
        "warmup": "bool",
        "gil_enabled": "bool",
        "status": "text",
        "exit_code": "int",
        "items": "int",
        "checksum": "text",
        "start_ns": "int",
        "wall_ns": "int",
        "asked_ns": "int",
        "traces": "int",
    },
    "processes": {
        "run_id": "text",
        "pid": "int",
        "ppid": "int",
        "start_ticks": "int",
        "name": "text",
        "role": "text",
        "worker": "int",
        "spawn_requested_ns": "int",
        "exec_ns": "int",
        "interpreter_ready_ns": "int",
        "first_task_ns": "int",
        "last_task_ns": "int",
        "exit_ns": "int",
        "exit_code": "int",
        "ended": "text",
        "executable": "text",
        "no_functions": "text",
        "switch_interval_ns": "int",
        "before_cpu_ns": "int",
        "cpu_ns": "int",
    },
    "threads": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "interpreter_id": "int",
        "name": "text",
        "role": "text",
        "worker": "int",
        "spawn_requested_ns": "int",
        "start_ns": "int",
        "end_ns": "int",
        "cpu_ns": "int",
        "cpu_read_ns": "int",
        "run_queue_wait_ns": "int",
        "voluntary_switches": "int",
        "involuntary_switches": "int",
    },
    "starts": {
        "run_id": "text",
        "worker": "int",
        "pid": "int",
        "tid": "int",
        "requested_ns": "int",
        "returned_ns": "int",
        "forked_ns": "int",
        "exec_ns": "int",
        "image_ns": "int",
        "interpreter_ns": "int",
        "site_ns": "int",
        "main_begun_ns": "int",
        "main_imported_ns": "int",
        "unpickled_ns": "int",
        "first_instruction_ns": "int",
        "recording_ns": "int",
        "first_task_ns": "int",
        "result_ns": "int",
        "done_ns": "int",
        "recorded_ns": "int",
        "exit_ns": "int",
        "joined_ns": "int",
    },
    "pickles": {
        "run_id": "text",
        "item": "int",
        "item_bytes": "int",
        "item_dumps_ns": "int",
        "item_loads_ns": "int",
        "result_bytes": "int",
        "result_dumps_ns": "int",
        "result_loads_ns": "int",
        "error": "text",
    },
    "imports": {
        "run_id": "text",
        "section": "text",
        "module": "text",
        "depth": "int",
        "self_ns": "int",
        "cumulative_ns": "int",
    },
    "spans": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "name": "text",
        "item": "int",
        "start_ns": "int",
        "dur_ns": "int",
        "cpu_ns": "int",
        "voluntary_switches": "int",
        "involuntary_switches": "int",
    },
    "waits": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "kind": "text",
        "start_ns": "int",
        "dur_ns": "int",
        "object": "text",
        "holder_tid": "int",
        "function": "text",
        "file": "text",
        "line": "int",
        "method": "text",
    },
    "wakeups": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "start_ns": "int",
        "woken_ns": "int",
        "waker_tid": "int",
        "object": "text",
        "function": "text",
        "file": "text",
        "line": "int",
    },
    "wait_stacks": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "kind": "text",
        "at_ns": "int",
        "stack": "text",
    },
    "holds": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "object": "text",
        "start_ns": "int",
        "end_ns": "int",
        "function": "text",
        "file": "text",
        "line": "int",
        "method": "text",
    },
    "slices": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "start_ns": "int",
        "dur_ns": "int",
        "name": "text",
        "category": "text",
        "depth": "int",
    },
    "samples": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "ts_ns": "int",
        "weight_ns": "int",
        "state": "text",
        "leaf": "text",
        "stack_id": "text",
    },
    "sched": {
        "run_id": "text",
        "cpu": "int",
        "pid": "int",
        "tid": "int",
        "state": "text",
        "start_ns": "int",
        "dur_ns": "int",
    },
    "counters": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "ts_ns": "int",
        "counter": "text",
        "value": "float",
        "unit": "text",
        "scope": "text",
        "source": "text",
        "at": "text",
    },
    "marks": {
        "run_id": "text",
        "pid": "int",
        "tid": "int",
        "ts_ns": "int",
        "name": "text",
    },
    "observations": {
        "run_id": "text",
        "what": "text",
        **{name: "int" if name == "size" else "text" for name in DIMENSIONS},
        "value": "float",
        "unit": "text",
        "text": "text",
    },
    "metrics": {
        "suite_id": "text",
        "run_id": "text",
        **_CELL,
        "scope": "text",
        "pid": "int",
        "tid": "int",
        "metric": "text",
        "value": "float",
        "lower": "float",
        "upper": "float",
        "unit": "text",
        "method": "text",
        "quality": "text",
        "n": "int",
        "reason": "text",
        "preferred": "bool",
    },
    "notices": {
        "run_id": "text",
        "code": "text",
        "severity": "text",
        "text": "text",
        "remedy": "text",
    },
}

QUALITIES = ("measured", "estimated", "bound", "unavailable")
"""measured: read from a clock or counter; estimated: computed from samples or other numbers by the metric's formula;
bound: only lower..upper is known; unavailable: not known, `reason` says why."""

WAIT_KINDS = ("gil", "gil-switch", "lock", "io-read", "io-write", "poll", "sleep", "child-wait")
"""Kinds of rows in `waits`. gil: take_gil blocked; gil-switch: drop_gil waited until another thread had taken it."""

WAITS_PROBE, KERNEL_UPROBE = "waits-probe", "kernel-uprobe"
WAIT_METHODS = (WAITS_PROBE, KERNEL_UPROBE)
"""The method that recorded a wait or a hold. A run may have both, so a sum must use one of them."""

SCHED_STATES = ("running", "runnable", "sleeping", "disk")
"""States of rows in `sched`; `cpu` is known for `running` only. A running row is followed by `runnable` when the
thread was preempted (an involuntary switch) and by `sleeping` or `disk` when it blocked (a voluntary one)."""

SCOPES = ("cell", "run", "process", "thread")

# dtypes, not their names, which pandas would look up for each column.
_DTYPES: dict[str, Any] = {
    kind: pd.api.types.pandas_dtype(name)
    for kind, name in {"text": "str", "int": "Int64", "float": "float64", "bool": "boolean"}.items()
}


@dataclass(kw_only=True)
class Tables:
    """The tables of one suite. `suite` has what belongs to no row: the suite's id, command and environments."""

    suite: dict[str, Any]
    runs: pd.DataFrame
    processes: pd.DataFrame
    threads: pd.DataFrame
    starts: pd.DataFrame
    pickles: pd.DataFrame
    imports: pd.DataFrame
    spans: pd.DataFrame
    waits: pd.DataFrame
    wakeups: pd.DataFrame
    wait_stacks: pd.DataFrame
    holds: pd.DataFrame
    slices: pd.DataFrame
    samples: pd.DataFrame
    sched: pd.DataFrame
    counters: pd.DataFrame
    marks: pd.DataFrame
    observations: pd.DataFrame
    notices: pd.DataFrame
    metrics: pd.DataFrame = field(default_factory=lambda: empty("metrics"))

    def __post_init__(self) -> None:
        self.derived: dict[type, object] = {}
        """What was computed from these tables and is kept with them; other tables (`replace`) begin anew."""

    def table(self, name: str) -> pd.DataFrame:
        """One table by its name in COLUMNS."""
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def join_suites(self, others: Sequence[Tables]) -> Tables:
        """Add the runs, metrics, observations, notices and environments of other suites; the rest stays.

        A notice of another suite begins with that suite's id.
        """
        all_of_them = (self, *others)
        notices = [
            other.notices.assign(text=f"{other.suite['suite_id']}: " + other.notices["text"]) for other in others
        ]
        joined = {
            "runs": pd.concat([tables.runs for tables in all_of_them], ignore_index=True),
            "metrics": pd.concat([tables.metrics for tables in all_of_them], ignore_index=True),
            "observations": pd.concat([tables.observations for tables in all_of_them], ignore_index=True),
            "notices": pd.concat([self.notices, *notices], ignore_index=True),
        }
        environments = [item for tables in all_of_them for item in tables.suite.get("environments") or ()]
        return replace(self, suite={**self.suite, "environments": environments}, **joined)


@cache
def _make_empty(name: str) -> pd.DataFrame:
    return from_columns(name, {})


def empty(name: str) -> pd.DataFrame:
    """The table `name` without rows, with its columns and dtypes."""
    return _make_empty(name).copy()


def from_columns(name: str, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The table `name` from equally long columns (never from a list of dicts, which is ten times slower).

    A column that is not given is all missing.
    """
    length = max((len(values) for values in columns.values()), default=0)
    # Arrays, not Series: a report makes hundreds of small tables, and aligning their indexes would take longest.
    return pd.DataFrame(
        {
            column: pd.array(columns.get(column, [None] * length), dtype=_DTYPES[kind])
            for column, kind in COLUMNS[name].items()
        },
        copy=False,
    )


def from_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table `name` from small numbers of rows; a key that a row lacks is missing there."""
    if not rows:
        return empty(name)
    return from_columns(name, {column: [row.get(column) for row in rows] for column in COLUMNS[name]})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts, with None for whatever is missing."""
    names = list(frame.columns)
    columns = [_values(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def check(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame, columns in order. Raises MeasurementError when a column is missing or of another type."""
    wanted = COLUMNS[name]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise MeasurementError(f"table {name} lacks {', '.join(missing)}", "tracekit list suites")
    found = dict(zip(frame.columns, frame.dtypes, strict=True))
    for column, kind in wanted.items():
        if found[column] != _DTYPES[kind] and not _fits(frame[column], kind):
            raise MeasurementError(
                f"table {name}: column {column} is {found[column]}, not {kind}", "tracekit list suites"
            )
    return frame if list(found) == list(wanted) else frame[list(wanted)]


def _fits(series: pd.Series[Any], kind: str) -> bool:
    types = pd.api.types
    if kind == "int":
        return types.is_integer_dtype(series)
    if kind == "float":
        return types.is_float_dtype(series) or types.is_integer_dtype(series)
    if kind == "bool":
        return types.is_bool_dtype(series)
    return types.is_string_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype)


def _values(series: pd.Series[Any]) -> list[Any]:
    # Column by column: DataFrame.where over objects takes ten times as long.
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
        return [None if math.isnan(value) else value for value in series.tolist()]
    pairs = zip(series.tolist(), series.isna().tolist(), strict=True)
    return [None if missing else value for value, missing in pairs]
