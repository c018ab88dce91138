"""Runs suites whose answers are known, and compares them: one of tasks, and one of worker starts."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracekit.accuracy.checks.starts import KnownStarts, compare_stages
from tracekit.accuracy.checks.tasks import KnownTasks, compare_known
from tracekit.accuracy.comparison import ComparedRun, Comparison
from tracekit.accuracy.kernel_reference import KernelReference, read_reference
from tracekit.accuracy.outside_reader import read_outside
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import SuiteFolder
from tracekit.core.errors import MeasurementError
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.measure.running.suite_runner import run_suite
from tracekit.system.interpreters import Interpreter

TASKS, STARTS = "known-tasks", "start-stop"


def measure_tasks(interpreter: Interpreter, scratch: Path | None = None) -> list[Comparison]:
    """Run the workload that knows its answers under fork. Raises RunFailed and CaptureUnavailable."""
    plain = RunSpec(
        suite_id=TASKS,
        run_id="000",
        workload=TASKS,
        workload_target="tracekit.accuracy.known_workload:KNOWN",
        size="small",
        model="fork",
        start_method="fork",
        workers=2,
        warmup=True,
        python=interpreter.executable,
        python_label=interpreter.label,
    )
    with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-accuracy-") as folder, read_outside() as readings:
        plain = replace(plain, parameters={"answers": folder})
        traced = replace(plain, run_id="001", capture="kernel", warmup=False, repeat=1)
        tables, kernel = _measure(Path(folder), (plain, traced))
        answers = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("answers-*.json")]
        ends = {int(path.stem.split("-")[1]): _read_end(path) for path in Path(folder).glob("end-*.json")}
    main = {row["pid"]: row["run_id"] for row in records(tables.processes) if row["role"] == "main"}
    by_run: dict[str, Any] = {main.get(answer["pid"], ""): answer for answer in answers}
    if not {"000", "001"} <= by_run.keys():
        raise MeasurementError(f"{TASKS} left no answers of each run", "tracekit doctor")
    return compare_known(
        KnownTasks(
            place=_place(f"{TASKS}, fork", interpreter, tables),
            tables=tables,
            warmup=by_run["000"],
            traced=by_run["001"],
            ends=ends,
            kernel=kernel,
            readings=readings,
        )
    )


def measure_starts(interpreter: Interpreter, scratch: Path | None = None) -> list[Comparison]:
    """Spawn workers one by one. Raises RunFailed and CaptureUnavailable."""
    spec = RunSpec(
        suite_id=STARTS,
        run_id="001",
        workload=STARTS,
        workload_target=WORKLOADS.target(STARTS),
        size="large",
        model="spawn",
        start_method="spawn",
        workers=1,
        capture="stages+kernel",
        repeat=1,
        python=interpreter.executable,
        python_label=interpreter.label,
        parameters={"main_imports": "", "preload": False, "parent_mb": 0, "parent_threads": 0},
    )
    with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-accuracy-") as folder:
        tables, kernel = _measure(Path(folder), (spec,))
    place = _place(f"{STARTS}, spawn", interpreter, tables)
    return compare_stages(KnownStarts(place=place, tables=tables, kernel=kernel))


def _measure(folder: Path, specs: tuple[RunSpec, ...]) -> tuple[Tables, KernelReference]:
    """Make the runs; the tables with their metrics, and the kernel's record of the last run."""
    last = specs[-1]
    suite = SuiteFolder(folder / last.suite_id)
    run_suite(Suite(suite_id=last.suite_id, workload=last.workload, size=last.size, specs=specs), suite)
    tables, kernel = load_suite(suite), read_reference(suite.bundle(last.run_id))
    if kernel is None or kernel.lost:
        raise MeasurementError(f"the kernel's record of {last.workload} is not whole", "tracekit doctor")
    tables.metrics = compute_all(Analysis(tables))
    return tables, kernel


def _place(program: str, interpreter: Interpreter, tables: Tables) -> ComparedRun:
    steal = tables.metrics[(tables.metrics["metric"] == "steal_ns") & (tables.metrics["scope"] == "run")]["value"]
    stolen = None if steal.isna().all() else int(steal.max())
    return ComparedRun(program=program, python=interpreter.label, steal_ns=stolen)


def _read_end(path: Path) -> tuple[int, int]:
    data = json.loads(path.read_text(encoding="utf-8"))
    return data["begun_ns"], data["ended_ns"]
