"""The walls of threads, serial and a pool of processes as functions of the tasks: from which task on processes pay.

Tasks are taken as equal: each computes and waits in the proportion of the workload's, and its item and result are as
large. Under threads the wall grows with the task as it did in the measured run (a speed-up against the tasks alone of
1 for tasks that hold the GIL, of more for others); serial is the tasks alone, as slow as the machine was; a pool of
processes costs its start, the handing out, the bytes and its end, and in between does `workers` tasks at a time: the
simulation of prediction.py as a formula. Where threads reach as much as processes could, no task is long enough, and
there is no number but that reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.analysis.metrics.cells.cell_runs import CellKey, CellRuns
from tracekit.analysis.metrics.estimate import unavailable
from tracekit.analysis.metrics.predict.task_demand import DemandByRound, TaskDemand
from tracekit.analysis.metrics.predict.worker_costs import CostPlace, ParallelSlowdown, PoolCosts, WorkerCosts

Floats = npt.NDArray[np.float64]

SHORTEST_NS, LONGEST_NS = 1e3, 1e12
"""Between a microsecond and a quarter of an hour: longer tasks are not considered."""
MOST_TASKS = 10_000_000
LARGE_PAYLOAD = 4096
"""From so many bytes on pickling time is taken to grow with them."""
NO_COSTS = unavailable("what so many workers cost was not measured: the controls do that for the most, from 2 on")
_HALVINGS = 60
_GROUPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEvenTerms:
    """The numbers of one round that decide between threads and processes.

    tasks          how many there are
    task_ns        how long one takes alone, the mean
    computing      the share of that which is on a CPU, or waits for one
    threads        how many times faster than the tasks alone, one after another, threads were
    item_bytes, result_bytes   of a task, the mean
    parent_ns      what pickling and unpickling of these costs the parent, a task
    worker_ns      what it costs the worker
    """

    tasks: int
    task_ns: float
    computing: float
    threads: float
    item_bytes: float
    result_bytes: float
    parent_ns: float
    worker_ns: float
    pools: Mapping[str, PoolCosts]
    slowdown: ParallelSlowdown

    @property
    def payload(self) -> float:
        """Bytes of item and result together."""
        return max(1.0, self.item_bytes + self.result_bytes)


def derive_terms(demand: TaskDemand, wall_ns: float, costs: WorkerCosts) -> BreakEvenTerms:
    """The terms of a round, from what its tasks need, how long threads took for them (ns), and what workers cost."""
    # As long as they take, waits for a CPU that other programs have included.
    alone = demand.cpu / costs.slowdown.cpu_at(demand.busy) * costs.slowdown.alone
    whole = float(alone.sum() + demand.waits.sum())
    pickling = demand.pickling.mean(axis=0)
    return BreakEvenTerms(
        tasks=len(alone),
        task_ns=whole / len(alone),
        computing=float(alone.sum()) / whole if whole else 1.0,
        threads=whole / wall_ns,
        item_bytes=float(demand.item_bytes.mean()),
        result_bytes=float(demand.result_bytes.mean()),
        parent_ns=float(pickling[0] + pickling[3]),
        worker_ns=float(pickling[1] + pickling[2]),
        pools=costs.pools,
        slowdown=costs.slowdown,
    )


def compute_wall_without_pool(terms: BreakEvenTerms, task_ns: Floats, tasks: Floats) -> Floats:
    """Wall, ns, of the faster one of threads and serial. Arrays of equal length: the tasks' length, ns, and number."""
    found: Floats = task_ns * tasks / max(1.0, terms.threads)
    return found


def compute_pool_wall(
    terms: BreakEvenTerms, model: str, task_ns: Floats, tasks: Floats, payload: float | None = None
) -> Floats:
    """Wall, ns, of a pool of that model for so many equal tasks; arrays as above.

    `payload`: another one than the workload's, bytes of item and result together, in the same proportion.
    """
    pool = terms.pools[model]
    scale = 1.0 if payload is None else payload / terms.payload
    workers = len(pool.ready_ns)
    slower = terms.slowdown.wall_at(workers * terms.computing) / terms.slowdown.alone
    to_worker = scale * terms.item_bytes * pool.per_byte_ns
    to_parent = scale * terms.result_bytes * pool.per_byte_ns
    # What pickling small objects takes does not grow with a payload that they do not have.
    pickling = max(1.0, scale) if terms.payload >= LARGE_PAYLOAD else 1.0
    parent_ns, worker_ns = terms.parent_ns * pickling, terms.worker_ns * pickling
    takes = task_ns * (1 + terms.computing * (slower - 1)) + worker_ns + to_parent
    handed_out = tasks * (pool.per_task_ns + to_worker + parent_ns) + takes
    read = pool.ready_ns[0] + takes + (tasks - 1) * (to_parent + parent_ns)
    done = _all_done(np.asarray(pool.ready_ns), takes, takes + terms.slowdown.between_ns, tasks)
    found: Floats = np.maximum(np.maximum(handed_out, read), done) + pool.stop_ns
    return found


def _all_done(ready: Floats, takes: Floats, each: Floats, tasks: Floats) -> Floats:
    """When the workers have done so many tasks: the workers that are up first do more of them.

    `ready`: when each worker is up, ns. Of equal length: what the last task takes, what each of the others takes with
    the gap to the next, and the number of tasks.
    """
    takes, each, tasks = np.broadcast_arrays(takes, each, tasks)
    # Of a great many workers those that are up at about the same time are taken together.
    groups = [(float(group.mean()), len(group)) for group in np.array_split(np.sort(ready), min(len(ready), _GROUPS))]
    # A worker that is up at r ends its k-th task at r + k each: the tasks-th of all these ends, found by halving.
    low = np.full(takes.shape, ready.min())
    high = ready.max() + np.ceil(tasks / len(ready)) * each + each
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ended = sum(count * np.maximum(np.floor((middle - up) / each), 0.0) for up, count in groups)
        enough = ended >= tasks
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    found: Floats = high - (each - takes)
    return found


def find_task_length(
    terms: BreakEvenTerms, model: str, *, payload: float | None = None, points: int = 2_000
) -> float | None:
    """The shortest task, ns, from which the pool is faster for every longer one; None where there is none."""
    lengths = np.geomspace(SHORTEST_NS, LONGEST_NS, points)
    count = np.full(points, float(terms.tasks))
    faster = compute_pool_wall(terms, model, lengths, count, payload) < compute_wall_without_pool(terms, lengths, count)
    return _find_threshold(lengths, faster)


def find_task_count(terms: BreakEvenTerms, model: str) -> float | None:
    """The fewest tasks of this length from which the pool is faster for any more; None where there are none."""
    counts = np.unique(np.geomspace(1, MOST_TASKS, 2_000).round())
    lengths = np.full(len(counts), terms.task_ns)
    faster = compute_pool_wall(terms, model, lengths, counts) < compute_wall_without_pool(terms, lengths, counts)
    return _find_threshold(counts, faster)


def limit_pool(terms: BreakEvenTerms, model: str, *, tasks: float, task_ns: float) -> float:
    """How many times faster than one after another the pool is for so many tasks of that length."""
    wall = compute_pool_wall(terms, model, np.array([task_ns]), np.array([tasks]))
    return float(tasks * task_ns / wall[0])


def _find_threshold(values: Floats, holds: npt.NDArray[np.bool_]) -> float | None:
    not_yet = np.flatnonzero(~holds)
    first = 0 if not len(not_yet) else int(not_yet[-1]) + 1
    return float(values[first]) if first < len(values) else None


def derive_terms_by_round(
    cells: Iterable[CellRuns],
    runs: Iterable[Mapping[str, Any]],
    demands: Mapping[CellKey, DemandByRound | str],
    costs: Mapping[CostPlace, Mapping[int, WorkerCosts]],
) -> dict[CellKey, tuple[BreakEvenTerms, ...] | str]:
    """For each cell of threads: its terms, one a round, or why there are none. `cells` are the untraced ones."""
    found: dict[CellKey, tuple[BreakEvenTerms, ...] | str] = {}
    walls = {run["run_id"]: (run["repeat"], run["wall_ns"]) for run in runs}
    for cell in cells:
        needed = demands.get(cell.key)
        if needed is None:
            continue
        if isinstance(needed, str):
            found[cell.key] = needed
            continue
        of_round = dict(walls[run_id] for run_id in cell.runs)
        columns = cell.columns
        here = costs.get((columns["os"], columns["python"], columns["workers"]), {})
        terms = tuple(
            derive_terms(demand, float(of_round[repeat]), here[repeat])
            for repeat, demand in needed.items()
            if repeat in here and of_round.get(repeat)
        )
        found[cell.key] = terms or NO_COSTS.reason or ""
    return found
