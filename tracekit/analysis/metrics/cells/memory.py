"""uss_bytes, pss_bytes: the memory of all processes of a model together.

Read once by the parent in the warm-up run, while every worker is alive and idle, so that no timed run is
touched. USS is memory that only that process holds; PSS divides each shared page by the number of its users,
so PSS may be summed over processes and the sum is what the model costs. RSS counts a shared page once per
process: its sum is too large.
"""

from __future__ import annotations

import math
from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.counters import MEASURED_ROLES
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import Metric
from tracekit.analysis.metrics.rows import MetricRows

NO_WARMUP = "no warm-up run ended ok, where it is read"
NOT_READ = "memory of the processes was not read"


def compute(counter: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell; n is the number of warm-up runs, which is 1 by default."""
    rows = MetricRows(analysis, counter, "bytes")
    found = analysis.counter_readings("process", counter)
    readings = {(row["run_id"], row["pid"]): row["value"] for row in found if row["value"] is not None}
    expected: dict[str, set[int]] = {}
    # Where workers start and end one by one, those that had ended could not be read.
    read_ns: dict[str, int] = {}
    for row in found:
        if row["ts_ns"] is not None:
            read_ns[row["run_id"]] = min(row["ts_ns"], read_ns.get(row["run_id"], row["ts_ns"]))
    for process in analysis.processes:
        gone = process["exit_ns"] is not None and process["exit_ns"] < read_ns.get(process["run_id"], 0)
        if process["role"] in MEASURED_ROLES and not gone:
            expected.setdefault(process["run_id"], set()).add(process["pid"])
    for cell in analysis.untraced_cells:
        rows.add_cell(cell, _last([_of_run(run, readings, expected.get(run, set())) for run in cell.warmups]))
    return rows.to_frame()


def _of_run(run_id: str, readings: dict[tuple[str, int], float], expected: set[int]) -> Estimate:
    read = {pid: value for (of_run, pid), value in readings.items() if of_run == run_id}
    if not read:
        return unavailable(NOT_READ)
    lacking = expected - set(read)
    if lacking:
        return unavailable(f"{len(lacking)} of {len(expected)} processes were not read")
    method = "psutil, 1 process" if len(read) == 1 else f"psutil, sum over {len(read)} processes"
    return measured(sum(read.values()), method, interval=(math.nan, math.nan), reason="read once: no interval")


def _last(estimates: list[Estimate]) -> Estimate:
    available = [item for item in estimates if item.available]
    if available:
        return available[-1]
    return estimates[-1] if estimates else unavailable(NO_WARMUP)


def _metric(counter: str, summary: str, valid_on: str) -> Metric:
    return Metric(
        name=counter,
        unit="bytes",
        better="lower",
        needs=("counters", "processes"),
        valid_on=valid_on,
        summary=summary,
        method="psutil, read once by the parent in the warm-up run, summed over processes.",
        compute=partial(compute, counter),
    )


USS = _metric("uss_bytes", "Memory that only these processes hold.", "Linux, macOS, Windows")
PSS = _metric("pss_bytes", "Memory of these processes, shared pages divided by their number of users.", "Linux")
