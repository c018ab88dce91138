"""pickled_bytes, pickling_*: what pickling items and results costs, which only processes do.

Counted in the warm-up run, where the parent pickles each item and the worker each result once more, with the pickler
that multiprocessing itself uses. The pool's own wrapping of a task (some hundred bytes) is not in it, nor the transfer
through the pipe. The items are the same in every run, so that the bytes are too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellRuns
from tracekit.analysis.metrics.cells.cpu import METRIC as CPU
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.metrics.suite_records import TableRecord
from tracekit.analysis.tables import CELL, records

ONE_PROCESS = unavailable("nothing is pickled within one process")
NOT_COUNTED = unavailable("counted for executors in the warm-up run only, and none ended ok")

_BYTES = ("item_bytes", "result_bytes")
_TIMES = ("item_dumps_ns", "item_loads_ns", "result_dumps_ns", "result_loads_ns")


def compute_bytes(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    return _cells(analysis, BYTES, lambda cell, rows: _sum_columns(rows, _BYTES))


def compute_time(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    return _cells(analysis, TIME, lambda cell, rows: _sum_columns(rows, _TIMES))


def compute_share(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell: of the CPU time of the cell's timed runs."""
    cpu = CPU.compute(analysis)
    of_cells = cpu[cpu["scope"] == "cell"]
    used = {tuple(row[name] for name in CELL): row["value"] for row in records(of_cells)}

    def share(cell: CellRuns, rows: Sequence[TableRecord]) -> Estimate:
        whole = used.get(cell.key)
        if not whole:
            return unavailable("the CPU time of the cell is not known")
        return measured(
            _sum_columns(rows, _TIMES).value / whole, "counted", interval=(math.nan, math.nan), reason=_ONCE
        )

    return _cells(analysis, SHARE, share)


_ONCE = "counted once: no interval"


def _cells(
    analysis: Analysis, metric: Metric, of: Callable[[CellRuns, Sequence[TableRecord]], Estimate]
) -> pd.DataFrame:
    rows = MetricRows(analysis, metric.name, metric.unit)
    for cell in analysis.untraced_cells:
        counted = [analysis.pickles[run_id] for run_id in cell.warmups if run_id in analysis.pickles]
        if not cell.columns["start_method"]:
            rows.add_cell(cell, ONE_PROCESS)
        else:
            rows.add_cell(cell, of(cell, counted[-1]) if counted else NOT_COUNTED)
    return rows.to_frame()


def _sum_columns(rows: Sequence[TableRecord], columns: Sequence[str]) -> Estimate:
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
    computed_from=("pickling_ns", "cpu_ns"),
)
