"""predicted_*_wall_ns: how long the work would take under another model, from runs under `threads`.

Known of each task is how long it was on a CPU and how long it waited for something that is not another thread of the
program (a disk, a socket, a clock); both are of runs under `threads`. What workers cost is measured by the controls
of the same rounds (worker_costs.py). A pool of processes is then simulated, task by task:

    task i takes       cpu_i + waits_i + unpickling its item + pickling its result + bringing it back, and gets on
                       slower while others compute: by the CPU time of a task beside others over that of one alone,
                       and by wall over CPU time there
    it begins          when the parent has handed it out (one task after another, each per_task_ns and its item's
                       pickling), a worker is up (ready_ns) and has finished the task before (between_ns)
    the run ends       when the parent has read the last result, one after another, and joined the workers (stop_ns)

`serial` is the sum of the tasks alone. How many compute at a time is the share of the tasks' time that is on a CPU,
times the workers. GIL waits and waits for locks of the program are left out: processes have their own. What other
programs take of the CPUs is in, as it was in the control of the same round: a task is as much slower than its CPU time
as those of `spin` were, alone and beside others.

Each round of the suite gives a prediction of its own; that of a cell is their median, with its interval, which is that
of the inputs, not of the rules. How good the rules are: the table in docs/metrics.md compares predictions with
measurements.

Not modelled: data that tasks keep between them and every process has to make anew, modules that a task imports, memory
bandwidth, and locks that processes share as well.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.cell_runs import CellKey, CellRuns
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_median, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.predict.break_even_terms import NO_COSTS
from tracekit.analysis.metrics.predict.task_demand import TaskDemand
from tracekit.analysis.metrics.predict.worker_costs import ParallelSlowdown, PoolCosts, WorkerCosts
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.tables import CELL
from tracekit.bundle.names import SERIAL as SERIAL_MODEL

POOLS = ("fork", "forkserver", "spawn")
PREDICTED = (SERIAL_MODEL, *POOLS)
"""The models that are predicted."""

NOT_BASE = unavailable("predictions are of what threads did")


def predict_serial_wall(demand: TaskDemand, slowdown: ParallelSlowdown) -> float:
    """The wall, ns, of all tasks one after another, alone but for the other programs of that round."""
    return float(demand.cpu.sum() / slowdown.cpu_at(demand.busy) * slowdown.alone + demand.waits.sum())


def predict_pool_wall(demand: TaskDemand, pool: PoolCosts, slowdown: ParallelSlowdown) -> float:
    """The wall, ns, of a run with that pool, simulated task by task."""
    alone = demand.cpu / slowdown.cpu_at(demand.busy)
    whole = float(alone.sum() + demand.waits.sum())
    computing = float(alone.sum()) / whole if whole else 1.0
    item_dumps, item_loads, result_dumps, result_loads = demand.pickling.T
    to_worker, to_parent = demand.item_bytes * pool.per_byte_ns, demand.result_bytes * pool.per_byte_ns
    takes = alone + demand.waits + item_loads + result_dumps + to_parent
    handed_out = np.cumsum(pool.per_task_ns + item_dumps + to_worker)
    slower = [1 + computing * (slowdown.wall_at(count * computing) - 1) for count in range(len(pool.ready_ns) + 1)]
    last = 0.0
    for number, done in _simulate(takes.tolist(), handed_out.tolist(), pool.ready_ns, slower, slowdown.between_ns):
        last = max(last, done - float(to_parent[number])) + float(to_parent[number] + result_loads[number])
    return last + pool.stop_ns


def _simulate(
    takes: Sequence[float],
    handed_out: Sequence[float],
    ready_ns: Sequence[float],
    slower: Sequence[float],
    between_ns: float,
) -> Iterator[tuple[int, float]]:
    """(number, end) of each task as it ends, when the worker that was free first takes the next one.

    While `count` tasks run, each of them is `slower[count]` times slower than alone. So a second clock counts how far
    all of them have got, on which the end of each is known when it begins.
    """
    free = list(ready_ns)
    heapq.heapify(free)
    running: list[tuple[float, int]] = []
    now = got = 0.0
    begun = 0
    while begun < len(takes) or running:
        begins = max(now, free[0], handed_out[begun]) if free and begun < len(takes) else math.inf
        ends = now + (running[0][0] - got) * slower[len(running)] if running else math.inf
        if begins < ends:
            if running:
                got += (begins - now) / slower[len(running)]
            now = begins
            heapq.heappop(free)
            heapq.heappush(running, (got + takes[begun], begun))
            begun += 1
        else:
            got, number = heapq.heappop(running)
            now = ends
            heapq.heappush(free, now + between_ns)
            yield number, now


def compute(model: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = MetricRows(analysis, metric_name(model), "ns")
    for cell in analysis.untraced_cells:
        rows.add_cell(cell, _predict_cell(analysis, cell, model))
    return rows.to_frame()


def metric_name(model: str) -> str:
    """`predicted_fork_wall_ns`."""
    return f"predicted_{model}_wall_ns"


def _predict_cell(analysis: Analysis, cell: CellRuns, model: str) -> Estimate:
    needed = analysis.task_demands.get(cell.key)
    if needed is None:
        return NOT_BASE
    if isinstance(needed, str):
        return unavailable(needed)
    walls = [measured(wall, "played through") for wall in predict_rounds(analysis, cell.key, model).values()]
    return replace(pooled_median(walls), quality="estimated") if walls else NO_COSTS


def predict_rounds(analysis: Analysis, key: CellKey, model: str) -> dict[int, float]:
    """Round of the suite -> predicted wall, ns, of a cell of threads; empty where nothing can be predicted."""
    needed = analysis.task_demands.get(key, {})
    columns = dict(zip(CELL, key, strict=True))
    costs = analysis.worker_costs.get((columns["os"], columns["python"], columns["workers"]), {})
    return {
        repeat: wall
        for repeat, demand in ({} if isinstance(needed, str) else needed).items()
        if repeat in costs and (wall := _predict_wall(model, demand, costs[repeat])) is not None
    }


def _predict_wall(model: str, demand: TaskDemand, costs: WorkerCosts) -> float | None:
    if model == SERIAL_MODEL:
        return predict_serial_wall(demand, costs.slowdown)
    pool = costs.pools.get(model)
    return None if pool is None else predict_pool_wall(demand, pool, costs.slowdown)


def _metric(model: str) -> Metric:
    return Metric(
        name=metric_name(model),
        unit="ns",
        better="lower",
        needs=("runs", "spans", "waits", "pickles", "processes"),
        valid_on=EVERYWHERE,
        summary=f"How long the work of these threads would take under {model}.",
        method="The CPU time of each task and its waits for the outside, of each round, played through with what "
        "workers, bytes and computing beside others cost in the controls of the same round. Median of the rounds; the "
        "interval is of the inputs.",
        compute=partial(compute, model),
        measured=False,
    )


SERIAL = _metric("serial")
FORK = _metric("fork")
FORKSERVER = _metric("forkserver")
SPAWN = _metric("spawn")
