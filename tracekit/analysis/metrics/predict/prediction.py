"""How long the work would take under another model, from what one model showed and what the machine charges.

What is known of each task is how long it was on a CPU and how long it waited for something that is not another thread
of the program (a disk, a socket, a clock); both are of runs under `threads`. What workers cost is measured by the
controls of the same rounds (worker_costs.py). A pool of processes is then played through, task by task:

    task i takes       cpu_i + waits_i + unpickling its item + pickling its result + bringing it back, and gets on
                       slower while others compute: by the CPU time of a task beside others over that of one alone,
                       and by wall over CPU time there
    it begins          when the parent has handed it out (one task after another, each per_task_ns and its item's
                       pickling), a worker is up (ready_ns) and has done with the task before (between_ns)
    all is over        when the parent has read the last result, one after another, and joined the workers (stop_ns)

`serial` is the sum of the tasks alone. How many compute at a time is the share of the tasks' time that is on a CPU,
times the workers. GIL waits and waits for locks of the program are left out: processes have their own.

Each round of the suite gives a prediction of its own; of a cell it is their median, with its interval, which says how
sure the inputs are, not how good the rules. How good these are says the table in docs/metrics.md of predictions beside
measurements.

What it does not know: data that tasks keep between them and every process has to make anew, modules that a task
imports, memory bandwidth, and locks that processes share as well.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import Cell, untraced_cells
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_median, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.predict.task_demand import Demand, demands
from tracekit.analysis.metrics.predict.worker_costs import Beside, Costs, Pool, costs_by_round
from tracekit.analysis.metrics.rows import Rows
from tracekit.analysis.tables import Tables

BASE = "threads"
POOLS = ("fork", "forkserver", "spawn")
PREDICTED = ("serial", *POOLS)
"""What is predicted from it."""

NOT_BASE = unavailable("predictions are of what threads did")
NO_COSTS = unavailable("what so many workers cost was not measured: the controls do that for the most, from 2 on")


def serial_wall(demand: Demand, beside: Beside) -> float:
    """All tasks one after another, alone."""
    return float(demand.cpu.sum() / beside.cpu_at(demand.busy) + demand.waits.sum())


def pool_wall(demand: Demand, pool: Pool, beside: Beside) -> float:
    """The wall of a run with that pool, played through."""
    alone = demand.cpu / beside.cpu_at(demand.busy)
    whole = float(alone.sum() + demand.waits.sum())
    computing = float(alone.sum()) / whole if whole else 1.0
    item_dumps, item_loads, result_dumps, result_loads = demand.pickling.T
    to_worker, to_parent = demand.item_bytes * pool.per_byte_ns, demand.result_bytes * pool.per_byte_ns
    takes = alone + demand.waits + item_loads + result_dumps + to_parent
    handed_out = np.cumsum(pool.per_task_ns + item_dumps + to_worker)
    slower = [1 + computing * (beside.slower(count * computing) - 1) for count in range(len(pool.ready_ns) + 1)]
    last = 0.0
    for number, done in _played(takes.tolist(), handed_out.tolist(), pool.ready_ns, slower, beside.between_ns):
        last = max(last, done - float(to_parent[number])) + float(to_parent[number] + result_loads[number])
    return last + pool.stop_ns


def _played(
    takes: Sequence[float],
    handed_out: Sequence[float],
    ready_ns: Sequence[float],
    slower: Sequence[float],
    between_ns: float,
) -> Iterator[tuple[int, float]]:
    """(number, end) of each task as it ends, when the free worker that was free first takes the next one.

    While `count` tasks run, each of them gets on `slower[count]` times slower than alone. So there is a clock of its
    own for how far all of them have got, on which each one's end is known when it begins.
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


def compute(model: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope cell."""
    rows = Rows(tables, metric_name(model), "ns")
    for cell in untraced_cells(tables):
        rows.cell(cell, _of_cell(tables, cell, model))
    return rows.frame()


def metric_name(model: str) -> str:
    """`predicted_fork_wall_ns`."""
    return f"predicted_{model}_wall_ns"


def _of_cell(tables: Tables, cell: Cell, model: str) -> Estimate:
    if cell.model != BASE or cell.control:
        return NOT_BASE
    needed = demands(tables, cell)
    if isinstance(needed, str):
        return unavailable(needed)
    columns = cell.columns
    costs = costs_by_round(tables).get((columns["os"], columns["python"], columns["workers"]), {})
    walls = [
        measured(wall, "played through")
        for repeat, demand in needed.items()
        if repeat in costs and (wall := _wall(model, demand, costs[repeat])) is not None
    ]
    return replace(pooled_median(walls), quality="estimated") if walls else NO_COSTS


def _wall(model: str, demand: Demand, costs: Costs) -> float | None:
    if model == "serial":
        return serial_wall(demand, costs.beside)
    pool = costs.pools.get(model)
    return None if pool is None else pool_wall(demand, pool, costs.beside)


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
    )


SERIAL = _metric("serial")
FORK = _metric("fork")
FORKSERVER = _metric("forkserver")
SPAWN = _metric("spawn")
