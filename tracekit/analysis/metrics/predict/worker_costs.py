"""What the machine charges for workers, by the controls of a suite: small numbers that predictions are made of.

Each round of a suite has, beside the workload's own runs, runs of work that is nothing but cost: `worker-costs` under
each process model (starting workers, handing out tasks, bringing bytes back, stopping) and `spin`, serial and in
processes (what becomes of a task that computes when others compute beside it). So all costs are of the same minutes,
interpreter and number of workers as what they are applied to, and each round gives a set of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.task_spans import Tasks, task_spans
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.names import COMPUTING, SERIAL, UNTRACED, WORKER_COSTS

"""The controls."""
LARGE, LARGE_BYTES = 12, 1 << 20
"""How many of the last tasks of the first return how much: workloads/worker_costs.py."""

Place = tuple[str, str, str, int]
"""os, python, model, workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What one pool of worker processes costs, ns.

    ready_ns      of each worker, the first first: from the beginning of the run until it could take a task
    per_task_ns   between two results, while there are tasks to hand out that take no time
    per_byte_ns   what a byte of a large result adds to that: pickling bytes, the pipe, unpickling
    stop_ns       from the last result, a small one, until all workers are joined
    """

    ready_ns: tuple[float, ...]
    per_task_ns: float
    per_byte_ns: float
    stop_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What becomes of a task that computes, when as many others do in processes of their own.

    cpu           its CPU time, as a multiple of what it is alone: shared caches and cores
    wall          its wall over its CPU time: CPUs that are not there, or not free
    between_ns    from the end of one task to the beginning of the next one of the same worker
    """

    workers: int
    cpu: float
    wall: float
    between_ns: float

    def cpu_at(self, busy: float) -> float:
        """The same multiple where only so many compute at a time."""
        return 1 + (self.cpu - 1) * self._part(busy)

    def slower(self, busy: float) -> float:
        """Its wall there as a multiple of what it is alone."""
        return self.cpu_at(busy) * (1 + (self.wall - 1) * self._part(busy))

    def _part(self, busy: float) -> float:
        return min(max((busy - 1) / (self.workers - 1), 0.0), 1.0) if self.workers > 1 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of one round. `pools` by model."""

    pools: Mapping[str, Pool]
    beside: Beside


@once
def costs_by_round(tables: Tables) -> dict[tuple[str, str, int], dict[int, Costs]]:
    """(os, python, workers) -> repeat -> costs, for every worker count and round of which a pool was measured."""
    runs = [run for run in usable_runs(tables) if run["capture"] == UNTRACED and run["wall_ns"]]
    by_place: dict[tuple[str, str, int], dict[int, dict[str, dict[str, Any]]]] = {}
    serial: dict[tuple[str, str, int], str] = {}
    for run in runs:
        where = (run["os"], run["python"])
        if run["workload"] == COMPUTING and run["model"] == SERIAL:
            serial[(*where, run["repeat"])] = run["run_id"]
        elif run["start_method"] and (
            run["workload"] == COMPUTING or (run["workload"] == WORKER_COSTS and run["control"])
        ):
            rounds = by_place.setdefault((*where, run["workers"]), {})
            rounds.setdefault(run["repeat"], {}).setdefault(run["workload"], {}).setdefault(run["model"], run)
    spans = task_spans(tables)
    ends = _ends(tables)
    ready = _ready(tables)
    found: dict[tuple[str, str, int], dict[int, Costs]] = {}
    for place, rounds in by_place.items():
        for repeat, of_round in rounds.items():
            pools = {
                model: pool
                for model, run in of_round.get(WORKER_COSTS, {}).items()
                if (pool := _pool(tables, run, spans, ends, ready)) is not None
            }
            alone = spans.get(serial.get((place[0], place[1], repeat), ""))
            computing = next(iter(of_round.get(COMPUTING, {}).values()), None)
            if not pools or alone is None or computing is None or computing["run_id"] not in spans:
                continue
            beside = _beside(place[2], alone, spans[computing["run_id"]])
            if beside is not None:
                found.setdefault(place, {})[repeat] = Costs(pools=pools, beside=beside)
    return found


@once
def _ends(tables: Tables) -> dict[str, tuple[int, int]]:
    """Beginning and end of each run: its span `run`."""
    whole = tables.spans[tables.spans["name"] == "run"]
    return {row["run_id"]: (row["start_ns"], row["start_ns"] + row["dur_ns"]) for row in records(whole)}


@once
def _stops(tables: Tables) -> dict[str, int]:
    """When the workers of each run were asked to end."""
    asked = tables.spans[tables.spans["name"] == "shutdown"]
    return {row["run_id"]: row["start_ns"] for row in records(asked)}


@once
def _ready(tables: Tables) -> dict[str, list[tuple[int, int | None]]]:
    """First instruction of each worker process of a run, and its first task where it had one."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    for row in records(tables.processes[tables.processes["role"] == "worker"]):
        if row["interpreter_ready_ns"] is not None:
            found.setdefault(row["run_id"], []).append((row["interpreter_ready_ns"], row["first_task_ns"]))
    return found


def _pool(
    tables: Tables,
    run: Mapping[str, Any],
    spans: Mapping[str, Tasks],
    ends: Mapping[str, tuple[int, int]],
    ready: Mapping[str, list[tuple[int, int | None]]],
) -> Pool | None:
    run_id = run["run_id"]
    tasks, window, workers = spans.get(run_id), ends.get(run_id), ready.get(run_id)
    if tasks is None or window is None or not workers or len(tasks.start) < 2:
        return None
    # A worker that found nothing left to do says only when it was there.
    to_task = [first - there for there, first in workers if first is not None]
    between = min(to_task) if to_task else 0
    sleepers, large = run["workers"] - 1, len(tasks.item) - LARGE
    small_ends = np.sort(tasks.end[(tasks.item >= sleepers) & (tasks.item < large)])
    large_ends = np.sort(tasks.end[tasks.item >= large])
    half = len(small_ends) // 2
    if len(small_ends) < 4 or len(large_ends) < 2:
        return None
    per_task = float(small_ends[-1] - small_ends[half]) / (len(small_ends) - 1 - half)
    per_large = float(large_ends[-1] - large_ends[0]) / (len(large_ends) - 1)
    per_byte = max(0.0, per_large - per_task) / LARGE_BYTES
    asked = _stops(tables).get(run_id, window[1])
    # The last result of all is a large one, whose bytes are charged by themselves.
    way_back = max(0.0, float(asked - tasks.end.max()) - per_byte * LARGE_BYTES)
    return Pool(
        ready_ns=tuple(sorted(float(there + between - window[0]) for there, _ in workers)),
        per_task_ns=per_task,
        per_byte_ns=per_byte,
        stop_ns=way_back + float(window[1] - asked),
    )


def _beside(workers: int, alone: Tasks, together: Tasks) -> Beside | None:
    # Means: on a machine whose speed changes from one moment to the next a median is one speed or the other.
    cpu_alone, cpu = float(alone.cpu.mean()), float(together.cpu.mean())
    if cpu_alone <= 0 or cpu <= 0:
        return None
    return Beside(
        workers=workers,
        cpu=cpu / cpu_alone,
        wall=float(together.dur.sum()) / float(together.cpu.sum()),
        between_ns=_between(together),
    )


def _between(tasks: Tasks) -> float:
    """The median gap between two tasks of a worker."""
    order = np.lexsort((tasks.start, tasks.lane))
    lane, start, end = tasks.lane[order], tasks.start[order], tasks.end[order]
    same = lane[1:] == lane[:-1]
    gaps = (start[1:] - end[:-1])[same]
    return float(np.median(gaps)) if len(gaps) else 0.0
