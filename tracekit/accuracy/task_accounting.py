"""Checks the accounting's interval for tasks, as `tracekit run` computes it without captures, against the kernel.

A recorded program has no tasks, so its interval is wide. That of a workload's tasks is narrow, and this is the one that
reports are made of where nothing better is to be had.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tracekit.accuracy.comparison import ComparedRun, Comparison, compute_wait_tolerance
from tracekit.accuracy.kernel_reference import explain_missing_reference, read_reference
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.methods import ACCOUNTING, KERNEL_UPROBE, find_family
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import SuiteFolder
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.measure.running.suite_runner import run_suite
from tracekit.system.interpreters import Interpreter

WORK = ("matmul", "spin", "hashing")
WORKERS = 2


def measure_task_accounting(workload: str, interpreter: Interpreter, scratch: Path | None = None) -> list[Comparison]:
    """Run a workload under threads and compare each worker thread. Raises RunFailed and CaptureUnavailable."""
    spec = RunSpec(
        suite_id="tasks",
        run_id="001",
        workload=workload,
        workload_target=WORKLOADS.target(workload),
        size="small",
        model="threads",
        workers=WORKERS,
        capture="kernel",
        repeat=1,
        python=interpreter.executable,
        python_label=interpreter.label,
    )
    with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-accuracy-") as folder:
        suite = SuiteFolder(Path(folder) / "tasks")
        run_suite(Suite(suite_id="tasks", workload=workload, size="small", specs=(spec,)), suite)
        tables, kernel = load_suite(suite), read_reference(suite.bundle(spec.run_id))
    tables.metrics = compute_all(Analysis(tables))
    steal = tables.metrics[(tables.metrics["metric"] == "steal_ns") & (tables.metrics["scope"] == "run")]["value"]
    stolen = None if steal.isna().all() else int(steal.iloc[0])
    place = ComparedRun(program=f"{workload}, threads", python=interpreter.label, steal_ns=stolen)
    if silent := explain_missing_reference(kernel):
        return [place.mark_unavailable("gil-schedstat", silent)]
    return compare_intervals(tables, place)


def compare_intervals(tables: Tables, place: ComparedRun) -> list[Comparison]:
    """One comparison per thread whose tasks have an interval."""
    check = "gil-schedstat"
    references = sum_task_waits(tables)
    rows = []
    for row in records(tables.metrics):
        narrow = row["metric"] == "gil_wait_ns" and row["scope"] == "thread" and row["quality"] == "bound"
        if not narrow or find_family(row["method"]) != ACCOUNTING or row["method"] == "single-thread":
            continue
        wanted = references.get((row["pid"], row["tid"]), 0.0)
        tolerance = compute_wait_tolerance(wanted)
        rows.append(place.compare_interval(check, f"tasks of thread {row['tid']}", row, wanted, tolerance=tolerance))
    return rows or [place.mark_unavailable(check, "no thread's tasks have an interval")]


def sum_task_waits(tables: Tables) -> dict[tuple[int, int], float]:
    """Sum by (pid, tid) the kernel's GIL wait within the thread's task spans, ns."""
    waits = tables.waits[(tables.waits["kind"] == "gil") & (tables.waits["method"] == KERNEL_UPROBE)]
    tasks = tables.spans[tables.spans["name"] == "task"]
    found: dict[tuple[int, int], float] = {}
    for row in records(tasks[["pid", "tid"]].drop_duplicates()):
        starts, ends = _intervals(_of(waits, row))
        opens, closes = _intervals(_of(tasks, row))
        overlap = np.minimum(ends[:, None], closes) - np.maximum(starts[:, None], opens)
        found[row["pid"], row["tid"]] = float(np.clip(overlap, 0, None).sum())
    return found


def _of(frame: pd.DataFrame, row: dict[str, int]) -> pd.DataFrame:
    return frame[(frame["pid"] == row["pid"]) & (frame["tid"] == row["tid"])]


def _intervals(frame: pd.DataFrame) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    starts = frame["start_ns"].to_numpy("int64")
    return starts, starts + frame["dur_ns"].to_numpy("int64")
