"""cpu_ns: the CPU time of all measured processes together.

User and system time of the main process in the run window plus that of each worker process since its birth,
summed. Wall says how long one waited, CPU time how much work it was. Processes that
multiprocessing keeps for itself (the fork server, the resource tracker) are not measured and not in it.

A recorded program has no such counters: there it is the CPU clocks of all threads at their ends, native threads (BLAS,
OpenMP) included, as the wait probe read them, and what each process used before the probe came to it: for exec, the
loader or the fork. A process of which one thread's clock is not known has no number.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, Place
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope process, run and cell."""
    found = analysis.counter_changes("cpu_ns", "process")
    runs, places = total_processes(
        analysis.measured_processes, found, missing="the CPU time of the processes was not read"
    )
    for place, estimate in _sum_program_threads(analysis).items():
        if len(place) == 1:
            runs[place[0]] = estimate
        else:
            places[place] = estimate
    return rows_of_runs(analysis, METRIC.name, METRIC.unit, runs, places=places)


def _sum_program_threads(analysis: Analysis) -> dict[Place, Estimate]:
    """The processes of recorded programs, and the runs of which every process has threads."""
    programs = {run["run_id"] for run in analysis.usable_runs if is_program(run)}
    sums = {place: item for place, item in analysis.thread_end_sums("cpu_ns").items() if place[0] in programs}
    before: dict[Place, int] = {}
    for process in analysis.processes:
        run, place = (process["run_id"],), (process["run_id"], process["pid"])
        if place not in sums:
            sums.pop(run, None)
        for key in (run, place):
            before[key] = before.get(key, 0) + (process["before_cpu_ns"] or 0)
    return {place: _add(item, before.get(place, 0)) for place, item in sums.items() if len(place) < 3}


def _add(item: Estimate, ns: int) -> Estimate:
    return replace(item, value=item.value + ns, lower=item.lower + ns, upper=item.upper + ns)


METRIC = Metric(
    name="cpu_ns",
    unit="ns",
    better="lower",
    needs=("counters", "processes", "threads"),
    valid_on=EVERYWHERE,
    summary="CPU time of the main process and all workers, their start-up included.",
    method=(
        "Main process: difference over the run window, without the shutdown. Worker process: since birth. "
        "multiprocessing's own helper processes are left out. Recorded program: the CPU clocks of all threads at their "
        "ends, native threads included, and each process's exec, loader or fork. Cell: median, bootstrap interval."
    ),
    compute=compute,
)
