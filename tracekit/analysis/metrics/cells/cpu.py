"""cpu_ns: the CPU time of all measured processes together.

User and system time of the main process in the run window plus that of each worker process since its birth,
summed. Wall says how long one waited, CPU time how much work it was. Processes that
multiprocessing keeps for itself (the fork server, the resource tracker) are not measured and not in it.

A recorded program has no such counters: there it is the CPU clock of each process at its end, as the wait probe read
it. That counts all threads, also those that the probe did not see begin, and exec, the loader or the fork. Of a process
that was killed it is the sum of its threads' clocks at their ends, and what it used before the probe came to it; it has
no number where one thread's clock is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, Place, measured
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    found = analysis.counter_changes("cpu_ns", "process")
    runs, places = total_processes(
        analysis.measured_processes, found, missing="the CPU time of the processes was not read"
    )
    program_runs, program_places = _read_programs(analysis)
    return rows_of_runs(analysis, METRIC.name, METRIC.unit, runs | program_runs, places=places | program_places)


def _read_programs(analysis: Analysis) -> tuple[dict[str, Estimate], dict[Place, Estimate]]:
    """The runs of recorded programs of which every process has a number, and the processes that have one."""
    programs = {run["run_id"] for run in analysis.usable_runs if is_program(run)}
    threads = analysis.thread_end_sums("cpu_ns")
    # The kernel may reuse an id: processes that had the same one are one place.
    same: dict[Place, list[Mapping[str, Any]]] = {}
    for process in analysis.processes:
        if process["run_id"] in programs:
            same.setdefault((process["run_id"], process["pid"]), []).append(process)
    places: dict[Place, Estimate] = {}
    for place, processes in same.items():
        clocks = [process["cpu_ns"] for process in processes]
        if None not in clocks:
            places[place] = measured(float(sum(clocks)), f"{WAITS_PROBE}, process ends", n=len(clocks))
        elif place in threads:
            before = sum(process["before_cpu_ns"] or 0 for process in processes)
            places[place] = measured(threads[place].value + before, threads[place].method, n=threads[place].n)
    runs: dict[str, Estimate] = {}
    for run_id in programs - {place[0] for place in same.keys() - places.keys()}:
        if parts := [found for place, found in places.items() if place[0] == run_id]:
            methods = " + ".join(sorted({part.method for part in parts}))
            runs[run_id] = measured(sum(part.value for part in parts), methods, n=sum(part.n for part in parts))
    return runs, places


METRIC = Metric(
    name="cpu_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes", "threads"),
    valid_on=EVERYWHERE,
    summary="CPU time of the main process and all workers, their start-up included.",
    method=(
        "Main process: difference over the run window, without the shutdown. Worker process: since birth. "
        "multiprocessing's own helper processes are left out. Recorded program: each process's CPU clock at its end, "
        "exec, loader or fork included; of one that was killed its threads' clocks. Cell: median, bootstrap interval."
    ),
    compute=compute,
)
