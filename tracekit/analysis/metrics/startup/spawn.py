"""spawn_*_ns, teardown_ns: what starting and ending workers costs, from a few stamps of every run.

The request is stamped in the parent just before it requests the worker. A worker process stamps its first
instruction of tracekit's code: for `spawn` the interpreter has then started and imported the main module. A
worker thread stamps its first instruction, for which it needs the GIL. Both clocks are CLOCK_MONOTONIC, which
processes of one machine share.

spawn_first_instruction_ns   each worker; of a run the median of its workers, of a cell the median of its runs:
                             pooled like spawn_total_ns, which can then not come out smaller.
spawn_first_worker_ns        worker 0 only. For forkserver it contains starting the server.
teardown_ns                  the span `shutdown`: from the request to end until all are joined.
spawn_total_ns               of a run: median spawn_first_instruction_ns + teardown_ns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs
from tracekit.bundle.names import SERIAL

NO_WORKER = unavailable("no worker is started")
NO_STAMPS = unavailable("the start of the workers was not stamped")
NO_SHUTDOWN = unavailable("the end of the workers was not stamped")

_PROCESS = ("run_id", "pid")
_THREAD = ("run_id", "pid", "tid")

Starts = dict[str, dict[Place, Estimate]]


def compute_first_instruction(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope process or thread, run and cell."""
    starts = _starts(analysis)
    runs = {run["run_id"]: run for run in analysis.usable_runs}
    estimates = {run_id: _median_start(run, starts) for run_id, run in runs.items()}
    places = {place: start for run_id in runs for place, start in starts.get(run_id, {}).items()}
    return rows_of_runs(analysis, FIRST_INSTRUCTION.name, FIRST_INSTRUCTION.unit, estimates, places=places)


def compute_first_worker(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    starts = _starts(analysis)
    first: set[Place] = {
        tuple(row[key] for key in keys)
        for rows, keys in ((analysis.processes, _PROCESS), (analysis.worker_threads, _THREAD))
        for row in rows
        if row["worker"] == 0
    }
    estimates = {
        run_id: estimate for run_id, of_run in starts.items() for place, estimate in of_run.items() if place in first
    }
    return rows_of_runs(analysis, FIRST_WORKER.name, FIRST_WORKER.unit, estimates, missing=_missing_start)


def compute_teardown(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    return rows_of_runs(analysis, TEARDOWN.name, TEARDOWN.unit, _teardowns(analysis), missing=_missing_end)


def compute_total(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell."""
    starts, teardowns = _starts(analysis), _teardowns(analysis)
    estimates: dict[str, Estimate] = {}
    for run in analysis.usable_runs:
        start = _median_start(run, starts)
        end = teardowns.get(run["run_id"]) or _missing_end(run)
        lacking = next((item for item in (start, end) if not item.available), None)
        estimates[run["run_id"]] = lacking or measured(start.value + end.value, "stamps")
    return rows_of_runs(analysis, TOTAL.name, TOTAL.unit, estimates)


def _starts(analysis: Analysis) -> Starts:
    """Per run: request to first instruction of each worker process or, where there is none, of each worker thread."""
    processes = [row for row in analysis.processes if row["role"] == "worker"]
    # A worker process has a main thread, which is not started a second time.
    of_processes = {row["run_id"] for row in processes}
    threads = [row for row in analysis.worker_threads if row["run_id"] not in of_processes]
    found: Starts = {}
    for rows, first, keys in ((processes, "interpreter_ready_ns", _PROCESS), (threads, "start_ns", _THREAD)):
        for row in rows:
            stamps = row["spawn_requested_ns"], row[first]
            found.setdefault(row["run_id"], {})[tuple(row[key] for key in keys)] = _start(*stamps)
    return found


def _start(requested_ns: int | None, first_ns: int | None) -> Estimate:
    if requested_ns is None or first_ns is None:
        return NO_STAMPS
    if first_ns < requested_ns:
        return unavailable("the first instruction is stamped before the request")
    return measured(float(first_ns - requested_ns), "stamps")


def _values(run_id: str, starts: Starts) -> list[float]:
    return [item.value for item in starts.get(run_id, {}).values() if item.available]


def _median_start(run: Mapping[str, Any], starts: Starts) -> Estimate:
    values = _values(run["run_id"], starts)
    if run["model"] == SERIAL or not values:
        return _missing_start(run)
    return measured(float(np.median(values)), "stamps", n=len(values))


def _teardowns(analysis: Analysis) -> dict[str, Estimate]:
    serial = {run["run_id"] for run in analysis.usable_runs if run["model"] == SERIAL}
    # Where every item has a worker of its own, there are as many ends.
    return {
        run_id: measured(float(np.median(ends)), "stamps", n=len(ends))
        for run_id, ends in analysis.shutdowns.items()
        if run_id not in serial
    }


def _missing_start(run: Mapping[str, Any]) -> Estimate:
    return NO_WORKER if run["model"] == SERIAL else NO_STAMPS


def _missing_end(run: Mapping[str, Any]) -> Estimate:
    return NO_WORKER if run["model"] == SERIAL else NO_SHUTDOWN


FIRST_INSTRUCTION = Metric(
    name="spawn_first_instruction_ns",
    unit="ns",
    better="lower",
    needs=("processes", "threads"),
    valid_on=EVERYWHERE,
    summary="From asking for a worker to its first instruction.",
    method=(
        "Stamp in the worker - stamp in the parent. Run: median of its workers. Cell: median of its runs, "
        "bootstrap interval of that median. A thread's first instruction needs the GIL: beside a worker that computes "
        "it waits for it, and that is in the number; spawn_first_worker_ns has no such neighbour."
    ),
    compute=compute_first_instruction,
)
FIRST_WORKER = Metric(
    name="spawn_first_worker_ns",
    unit="ns",
    better="lower",
    needs=("processes", "threads"),
    valid_on=EVERYWHERE,
    summary="From asking for the first worker to its first instruction; forkserver starts its server.",
    method="As spawn_first_instruction_ns, worker 0 only.",
    compute=compute_first_worker,
)
TOTAL = Metric(
    name="spawn_total_ns",
    unit="ns",
    better="lower",
    needs=("processes", "threads", "spans"),
    valid_on=EVERYWHERE,
    summary="What having workers costs in time: the start of one and the end of all.",
    method="Median spawn_first_instruction_ns of the run + teardown_ns. Workers start side by side.",
    compute=compute_total,
    computed_from=("spawn_first_instruction_ns", "teardown_ns"),
)
TEARDOWN = Metric(
    name="teardown_ns",
    unit="ns",
    better="lower",
    needs=("spans",),
    valid_on=EVERYWHERE,
    summary="From the request to end until all workers are joined.",
    method="Duration of the span `shutdown`.",
    compute=compute_teardown,
)
