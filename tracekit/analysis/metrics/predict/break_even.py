"""From which task on processes pay: the task length and the number of tasks above which a pool of processes is faster
than both threads and serial, for this workload's payload.

Tasks are taken as equal: each computes and waits in the proportion of the workload's, and its item and result are as
large. Under threads the wall grows with the task as it did in the measured run (a speed-up against the tasks alone of
1 for tasks that hold the GIL, of more for others); serial is the tasks alone; a pool of processes costs its start, the
handing out, the bytes and its end, and in between does `workers` tasks at a time, which is prediction.py's play as a
formula. Where threads reach as much as processes could, no task is long enough, and there is no number but that reason.

Each round gives a number of its own, of a cell it is their median with its interval, as for predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import Cell, untraced_cells, usable_runs
from tracekit.analysis.metrics.estimate import Estimate, measured, pooled_median, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.predict.prediction import BASE, NO_COSTS, NOT_BASE
from tracekit.analysis.metrics.predict.prediction import metric_name as prediction_name
from tracekit.analysis.metrics.predict.task_demand import Demand, demands
from tracekit.analysis.metrics.predict.worker_costs import Beside, Costs, Pool, costs_by_round
from tracekit.analysis.metrics.rows import Rows
from tracekit.analysis.tables import CELL, Tables

Floats = npt.NDArray[np.float64]
CellKey = tuple[Any, ...]

SHORTEST_NS, LONGEST_NS = 1e3, 1e12
"""Between a microsecond and a quarter of an hour: no task is asked for that is longer."""
MOST_TASKS = 10_000_000
LARGE_PAYLOAD = 4096
"""From so many bytes on pickling time is taken to grow with them."""
_HALVINGS = 60
_GROUPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Of one round, what decides between threads and processes.

    tasks          how many there are
    task_ns        how long one takes alone, the mean
    computing      the share of that which is on a CPU
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
    pools: dict[str, Pool]
    beside: Beside

    @property
    def payload(self) -> float:
        """Bytes of item and result together."""
        return max(1.0, self.item_bytes + self.result_bytes)


def terms_of(demand: Demand, wall_ns: float, costs: Costs) -> Terms:
    """From what threads needed, and how long they took for it."""
    alone = demand.cpu / costs.beside.cpu_at(demand.busy)
    whole = float(alone.sum() + demand.waits.sum())
    pickling = demand.pickling.mean(axis=0)
    return Terms(
        tasks=len(alone),
        task_ns=whole / len(alone),
        computing=float(alone.sum()) / whole if whole else 1.0,
        threads=whole / wall_ns,
        item_bytes=float(demand.item_bytes.mean()),
        result_bytes=float(demand.result_bytes.mean()),
        parent_ns=float(pickling[0] + pickling[3]),
        worker_ns=float(pickling[1] + pickling[2]),
        pools=dict(costs.pools),
        beside=costs.beside,
    )


def without_pool(terms: Terms, task_ns: Floats, tasks: Floats) -> Floats:
    """Wall of the faster one of threads and serial for so many tasks of that length."""
    found: Floats = task_ns * tasks / max(1.0, terms.threads)
    return found


def with_pool(terms: Terms, model: str, task_ns: Floats, tasks: Floats, payload: float | None = None) -> Floats:
    """Wall of a pool of that model for so many equal tasks, of another payload where one is given: bytes of item and
    result together, in the proportion of the workload's."""
    pool = terms.pools[model]
    scale = 1.0 if payload is None else payload / terms.payload
    workers = len(pool.ready_ns)
    slower = terms.beside.slower(workers * terms.computing)
    to_worker = scale * terms.item_bytes * pool.per_byte_ns
    to_parent = scale * terms.result_bytes * pool.per_byte_ns
    # What pickling small objects takes does not grow with a payload that they do not have.
    pickling = max(1.0, scale) if terms.payload >= LARGE_PAYLOAD else 1.0
    parent_ns, worker_ns = terms.parent_ns * pickling, terms.worker_ns * pickling
    takes = task_ns * (1 + terms.computing * (slower - 1)) + worker_ns + to_parent
    handed_out = tasks * (pool.per_task_ns + to_worker + parent_ns) + takes
    read = pool.ready_ns[0] + takes + (tasks - 1) * (to_parent + parent_ns)
    done = _all_done(np.asarray(pool.ready_ns), takes, takes + terms.beside.between_ns, tasks)
    found: Floats = np.maximum(np.maximum(handed_out, read), done) + pool.stop_ns
    return found


def _all_done(ready: Floats, takes: Floats, each: Floats, tasks: Floats) -> Floats:
    """When workers that are up at `ready` have done so many tasks, each of which takes one of them `each`, the last one
    `takes`: the workers that are up first do more of them."""
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


def task_length(terms: Terms, model: str, *, payload: float | None = None, points: int = 2_000) -> float | None:
    """The shortest task, ns, from which the pool is faster for every longer one; None where there is none."""
    lengths = np.geomspace(SHORTEST_NS, LONGEST_NS, points)
    count = np.full(points, float(terms.tasks))
    faster = with_pool(terms, model, lengths, count, payload) < without_pool(terms, lengths, count)
    return _from_where_on(lengths, faster)


def task_count(terms: Terms, model: str) -> float | None:
    """The fewest tasks of this length from which the pool is faster for any more; None where there are none."""
    counts = np.unique(np.geomspace(1, MOST_TASKS, 2_000).round())
    lengths = np.full(len(counts), terms.task_ns)
    faster = with_pool(terms, model, lengths, counts) < without_pool(terms, lengths, counts)
    return _from_where_on(counts, faster)


def _from_where_on(values: Floats, holds: npt.NDArray[np.bool_]) -> float | None:
    not_yet = np.flatnonzero(~holds)
    first = 0 if not len(not_yet) else int(not_yet[-1]) + 1
    return float(values[first]) if first < len(values) else None


@once
def terms_by_round(tables: Tables) -> dict[CellKey, tuple[Terms, ...] | str]:
    """Each cell of threads, by its CELL columns -> its terms, a round each; or why there are none."""
    found: dict[CellKey, tuple[Terms, ...] | str] = {}
    walls = {run["run_id"]: (run["repeat"], run["wall_ns"]) for run in usable_runs(tables)}
    for cell in untraced_cells(tables):
        if cell.model != BASE or cell.control:
            continue
        needed = demands(tables, cell)
        if isinstance(needed, str):
            found[_key(cell)] = needed
            continue
        of_round = dict(walls[run_id] for run_id in cell.runs)
        columns = cell.columns
        costs = costs_by_round(tables).get((columns["os"], columns["python"], columns["workers"]), {})
        terms = tuple(
            terms_of(demand, float(of_round[repeat]), costs[repeat])
            for repeat, demand in needed.items()
            if repeat in costs and of_round.get(repeat)
        )
        found[_key(cell)] = terms or NO_COSTS.reason or ""
    return found


def _key(cell: Cell) -> CellKey:
    return tuple(cell.columns[name] for name in CELL)


def compute(model: str, metric: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope cell."""
    name = metric_name(model, metric)
    rows = Rows(tables, name, UNITS[metric])
    of_cells = terms_by_round(tables)
    for cell in untraced_cells(tables):
        terms = of_cells.get(_key(cell)) if cell.model == BASE and not cell.control else None
        if terms is None:
            rows.cell(cell, NOT_BASE)
        else:
            rows.cell(cell, unavailable(terms) if isinstance(terms, str) else _pooled(terms, model, metric))
    return rows.frame()


LENGTH, COUNT = "task_ns", "tasks"
UNITS = {LENGTH: "ns", COUNT: "count"}


def metric_name(model: str, metric: str) -> str:
    """`break_even_fork_task_ns`."""
    return f"break_even_{model}_{metric}"


def _pooled(terms: Sequence[Terms], model: str, metric: str) -> Estimate:
    of_model = [item for item in terms if model in item.pools]
    if not of_model:
        return NO_COSTS
    find = task_length if metric == LENGTH else task_count
    found = [find(item, model) for item in of_model]
    never = sum(value is None for value in found)
    if never:
        whose = "task is long enough" if metric == LENGTH else "number of such tasks is large enough"
        rounds = "" if never == len(found) else f"in {never} of {len(found)} rounds "
        return unavailable(f"{rounds}no {whose}: {_why(of_model)}")
    each = [measured(value, "played through") for value in found if value is not None]
    return replace(pooled_median(each), quality="estimated")


def _why(terms: Sequence[Terms]) -> str:
    threads = float(np.median([max(1.0, item.threads) for item in terms]))
    return f"threads do it {threads:.2f}x as fast as one after another"


def _metric(model: str, metric: str) -> Metric:
    length = metric == LENGTH
    return Metric(
        name=metric_name(model, metric),
        unit=UNITS[metric],
        better="lower",
        needs=("runs", "spans", "waits", "pickles", "processes"),
        valid_on=EVERYWHERE,
        summary=(
            f"How long a task must be for {model} to be faster than threads and serial."
            if length
            else f"How many tasks there must be for {model} to be faster than threads and serial."
        ),
        method=(
            f"As {prediction_name(model)}, for equal tasks "
            + ("of any length, as many as there were." if length else "as long as the mean of those that there were.")
            + " Unavailable where a round says never. Median of the rounds; the interval is of the inputs."
        ),
        compute=partial(compute, model, metric),
    )


FORK_LENGTH, FORK_COUNT = _metric("fork", LENGTH), _metric("fork", COUNT)
FORKSERVER_LENGTH, FORKSERVER_COUNT = _metric("forkserver", LENGTH), _metric("forkserver", COUNT)
SPAWN_LENGTH, SPAWN_COUNT = _metric("spawn", LENGTH), _metric("spawn", COUNT)
