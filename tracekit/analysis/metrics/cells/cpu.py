"""cpu_ns: the CPU time of all measured processes together.

User and system time of the main process in the run window plus that of each worker process since its birth,
summed. Wall says how long one waited, CPU time how much work it was. Processes that
multiprocessing keeps for itself (the fork server, the resource tracker) are not measured and not in it.

A recorded program has no such counters: there it is the CPU clock of each process at its end, as the wait probe read
it, or tracekit that of the program's first process before it reaped it. That counts all threads, also those that the
probe did not see begin, and exec, the loader or the fork. Of another process that was killed it is a bound: at least
what the probe last read of its threads and what the process used before the probe came to it, at most all the time that
its threads lived after that more. It has no number where one thread's clock was never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, Place, bound, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_runs
from tracekit.analysis.metrics.switches.by_thread import KILLED
from tracekit.bundle.names import SEE_WAITS, split_capture

CLOCK = "process-clock"
_NOT_FOLLOWED = unavailable("whether the program started processes is not recorded: capture waits or kernel sees them")


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
            places[place] = measured(float(sum(clocks)), CLOCK, n=len(clocks))
        elif (seen := threads.get(place)) is not None:
            before = sum(process["before_cpu_ns"] or 0 for process in processes)
            places[place] = _sum_clocks([seen], seen.method, before)
    # Other captures do not see the processes that the program starts.
    watched = {run["run_id"] for run in analysis.usable_runs if SEE_WAITS & split_capture(run["capture"])}
    runs: dict[str, Estimate] = dict.fromkeys(programs - watched, _NOT_FOLLOWED)
    for run_id in (programs & watched) - {place[0] for place in same.keys() - places.keys()}:
        if parts := [found for place, found in places.items() if place[0] == run_id]:
            methods = " + ".join(sorted({part.method for part in parts}))
            runs[run_id] = _sum_clocks(parts, methods)
    return runs, places


def _sum_clocks(parts: Sequence[Estimate], method: str, before_ns: int = 0) -> Estimate:
    """Their sum and `before_ns`: a bound where one of them is."""
    n, value = sum(part.n for part in parts), sum(part.value for part in parts) + before_ns
    if all(part.quality == "measured" for part in parts):
        return measured(value, method, n=n)
    lower, upper = (sum(ends) + before_ns for ends in zip(*((part.lower, part.upper) for part in parts), strict=True))
    return bound(lower, value, upper, method, n=n, reason=KILLED)


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
        "exec, loader or fork included; of a killed child a bound from its threads' last readings. Cell: median, "
        "bootstrap interval."
    ),
    compute=compute,
)
