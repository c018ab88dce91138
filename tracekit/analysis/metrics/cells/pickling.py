"""What processes pay for having no memory in common: pickling items and results.

Counted in the warm-up run, where the parent pickles each item and the worker each result in plain sight, with what
multiprocessing itself uses. The pool's own wrapping of a task (some hundred bytes) is not in it, nor the way through
the pipe. The items are the same in every run, so that the bytes are too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import Cell, untraced_cells
from tracekit.analysis.metrics.cells.cpu import METRIC as CPU
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import Rows
from tracekit.analysis.tables import Tables, records

ONE_PROCESS = unavailable("nothing is pickled within one process")
NOT_COUNTED = unavailable("counted for executors in the warm-up run only, and none ended ok")

_BYTES = ("item_bytes", "result_bytes")
_TIMES = ("item_dumps_ns", "item_loads_ns", "result_dumps_ns", "result_loads_ns")

Row = Mapping[str, Any]


def compute_bytes(tables: Tables) -> pd.DataFrame:
    """Rows of scope cell."""
    return _cells(tables, BYTES, lambda cell, rows: _summed(rows, _BYTES))


def compute_time(tables: Tables) -> pd.DataFrame:
    """Rows of scope cell."""
    return _cells(tables, TIME, lambda cell, rows: _summed(rows, _TIMES))


def compute_share(tables: Tables) -> pd.DataFrame:
    """Rows of scope cell: of the CPU time of the cell's timed runs."""
    cpu = CPU.compute(tables)
    of_cells = cpu[cpu["scope"] == "cell"]
    used = {tuple(row[name] for name in _NAMES): row["value"] for row in records(of_cells)}

    def share(cell: Cell, rows: Sequence[Row]) -> Estimate:
        whole = used.get(tuple(cell.columns[name] for name in _NAMES))
        if not whole:
            return unavailable("the CPU time of the cell is not known")
        return measured(_summed(rows, _TIMES).value / whole, "counted", interval=(math.nan, math.nan), reason=_ONCE)

    return _cells(tables, SHARE, share)


_NAMES = ("workload", "size", "parameters", "model", "workers", "start_method", "capture", "os", "python")
_ONCE = "counted once: no interval"


def _cells(tables: Tables, metric: Metric, of: Callable[[Cell, Sequence[Row]], Estimate]) -> pd.DataFrame:
    by_run: dict[str, list[Row]] = {}
    for row in records(tables.pickles):
        by_run.setdefault(row["run_id"], []).append(row)
    rows = Rows(tables, metric.name, metric.unit)
    for cell in untraced_cells(tables):
        counted = [by_run[run_id] for run_id in cell.warmups if run_id in by_run]
        if not cell.columns["start_method"]:
            rows.cell(cell, ONE_PROCESS)
        else:
            rows.cell(cell, of(cell, counted[-1]) if counted else NOT_COUNTED)
    return rows.frame()


def _summed(rows: Sequence[Row], columns: Sequence[str]) -> Estimate:
    total = float(sum(row[column] for row in rows for column in columns))
    return measured(total, f"counted, {len(rows)} tasks", interval=(math.nan, math.nan), reason=_ONCE)


BYTES = Metric(
    name="pickled_bytes",
    unit="bytes",
    better="lower",
    needs=("pickles",),
    valid_on=EVERYWHERE,
    summary="Bytes of all items and results of a run that go through pickle.",
    method="Counted in the warm-up run with multiprocessing's own pickler, without the pool's wrapping of a task. "
    "Executors only.",
    compute=compute_bytes,
)
TIME = Metric(
    name="pickling_ns",
    unit="ns",
    better="lower",
    needs=("pickles",),
    valid_on=EVERYWHERE,
    summary="How long parent and workers take to pickle and unpickle them.",
    method="Wall time around each dumps and loads in the warm-up run, summed over all tasks and both sides.",
    compute=compute_time,
)
SHARE = Metric(
    name="pickling_share",
    unit="share",
    better="lower",
    needs=("pickles", "counters"),
    valid_on=EVERYWHERE,
    summary="The same as a part of the CPU time of the runs.",
    method="pickling_ns of the warm-up run over cpu_ns of the cell.",
    compute=compute_share,
)
