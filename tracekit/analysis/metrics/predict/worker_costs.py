"""What worker processes cost on this machine, from the control runs of a suite: the input of predictions.

Each round of a suite has, beside the workload's own runs, runs of work that is nothing but cost: `worker-costs` under
each process model (starting workers, handing out tasks, bringing bytes back, stopping) and `spin`, serial and in
processes (how much slower a task computes while others compute). So all costs are of the same minutes, interpreter and
number of workers as what they are applied to, and each round gives a set of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.task_spans import TaskSpans
from tracekit.analysis.tables import records
from tracekit.bundle.names import COMPUTING, SERIAL, UNTRACED, WORKER_COSTS

LARGE, LARGE_BYTES = 12, 1 << 20
"""How many of the last tasks of `worker-costs` return how many bytes: workloads/worker_costs.py."""

CostPlace = tuple[str, str, int]
"""os, python, workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCosts:
    """What one pool of worker processes costs, ns.

    ready_ns      per worker, ascending: from the beginning of the run until it could take a task
    per_task_ns   between two results, while there are tasks to hand out that take no time
    per_byte_ns   what a byte of a large result adds to that: pickling bytes, the pipe, unpickling
    stop_ns       from the last result, a small one, until all workers are joined
    """

    ready_ns: tuple[float, ...]
    per_task_ns: float
    per_byte_ns: float
    stop_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSlowdown:
    """How much slower a task computes while other processes compute as well.

    workers       how many processes computed
    cpu           the task's CPU time as a multiple of that alone: shared caches and cores
    wall          its wall over its CPU time: CPUs that do not exist, or are not free
    between_ns    from the end of one task to the beginning of the next one of the same worker
    alone         wall over CPU time of a task that computed alone: other programs had the CPU meanwhile
    """

    workers: int
    cpu: float
    wall: float
    between_ns: float
    alone: float = 1.0

    def cpu_at(self, busy: float) -> float:
        """The multiple of the CPU time where `busy` processes compute at a time."""
        return 1 + (self.cpu - 1) * self._part(busy)

    def wall_at(self, busy: float) -> float:
        """The wall there as a multiple of the CPU time alone."""
        return self.cpu_at(busy) * (self.alone + (self.wall - self.alone) * self._part(busy))

    def _part(self, busy: float) -> float:
        return min(max((busy - 1) / (self.workers - 1), 0.0), 1.0) if self.workers > 1 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCosts:
    """What workers cost in one round of a suite; `pools` by model."""

    pools: Mapping[str, PoolCosts]
    slowdown: ParallelSlowdown


class _Moments(NamedTuple):
    """Moments of runs, CLOCK_MONOTONIC ns.

    windows   begin and end of each run: its span `run`
    stops     when the workers of each run were asked to end
    ready     first instruction of each worker process, and its first task where it had one
    """

    windows: Mapping[str, tuple[int, int]]
    stops: Mapping[str, int]
    ready: Mapping[str, list[tuple[int, int | None]]]


def measure_worker_costs(
    usable_runs: Iterable[Mapping[str, Any]],
    task_spans: Mapping[str, TaskSpans],
    spans: pd.DataFrame,
    processes: Iterable[Mapping[str, Any]],
) -> dict[CostPlace, dict[int, WorkerCosts]]:
    """(os, python, workers) -> repeat -> costs, for every worker count and round of which a pool was measured."""
    by_place: dict[CostPlace, dict[int, dict[str, dict[str, Any]]]] = {}
    serial: dict[CostPlace, str] = {}
    for run in usable_runs:
        if run["capture"] != UNTRACED or not run["wall_ns"]:
            continue
        where = (run["os"], run["python"])
        if run["workload"] == COMPUTING and run["model"] == SERIAL:
            serial[(*where, run["repeat"])] = run["run_id"]
        elif run["start_method"] and (
            run["workload"] == COMPUTING or (run["workload"] == WORKER_COSTS and run["control"])
        ):
            rounds = by_place.setdefault((*where, run["workers"]), {})
            rounds.setdefault(run["repeat"], {}).setdefault(run["workload"], {}).setdefault(run["model"], run)
    moments = _read_moments(spans, processes)
    found: dict[CostPlace, dict[int, WorkerCosts]] = {}
    for place, rounds in by_place.items():
        for repeat, of_round in rounds.items():
            pools = {
                model: pool
                for model, run in of_round.get(WORKER_COSTS, {}).items()
                if (pool := _measure_pool(run, task_spans.get(run["run_id"]), moments)) is not None
            }
            alone = task_spans.get(serial.get((place[0], place[1], repeat), ""))
            computing = next(iter(of_round.get(COMPUTING, {}).values()), None)
            if not pools or alone is None or computing is None or computing["run_id"] not in task_spans:
                continue
            slowdown = _measure_slowdown(place[2], alone, task_spans[computing["run_id"]])
            if slowdown is not None:
                found.setdefault(place, {})[repeat] = WorkerCosts(pools=pools, slowdown=slowdown)
    return found


def _read_moments(spans: pd.DataFrame, processes: Iterable[Mapping[str, Any]]) -> _Moments:
    ready: dict[str, list[tuple[int, int | None]]] = {}
    for row in processes:
        if row["role"] == "worker" and row["interpreter_ready_ns"] is not None:
            ready.setdefault(row["run_id"], []).append((row["interpreter_ready_ns"], row["first_task_ns"]))
    return _Moments(
        windows={
            row["run_id"]: (row["start_ns"], row["start_ns"] + row["dur_ns"])
            for row in records(spans[spans["name"] == "run"])
        },
        stops={row["run_id"]: row["start_ns"] for row in records(spans[spans["name"] == "shutdown"])},
        ready=ready,
    )


def _measure_pool(run: Mapping[str, Any], tasks: TaskSpans | None, moments: _Moments) -> PoolCosts | None:
    run_id = run["run_id"]
    window, workers = moments.windows.get(run_id), moments.ready.get(run_id)
    if tasks is None or window is None or not workers or len(tasks.start) < 2:
        return None
    # Of a worker that found nothing left to do only its first instruction is known.
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
    stop = moments.stops.get(run_id, window[1])
    # The last result of all is a large one, whose bytes are charged by themselves.
    last_result = max(0.0, float(stop - tasks.end.max()) - per_byte * LARGE_BYTES)
    return PoolCosts(
        ready_ns=tuple(sorted(float(there + between - window[0]) for there, _ in workers)),
        per_task_ns=per_task,
        per_byte_ns=per_byte,
        stop_ns=last_result + float(window[1] - stop),
    )


def _measure_slowdown(workers: int, alone: TaskSpans, together: TaskSpans) -> ParallelSlowdown | None:
    # Means: on a machine whose speed changes from one moment to the next a median is one speed or the other.
    cpu_alone, cpu = float(alone.cpu.mean()), float(together.cpu.mean())
    if cpu_alone <= 0 or cpu <= 0:
        return None
    return ParallelSlowdown(
        workers=workers,
        cpu=cpu / cpu_alone,
        wall=float(together.dur.sum()) / float(together.cpu.sum()),
        between_ns=_median_gap(together),
        alone=float(alone.dur.sum()) / float(alone.cpu.sum()),
    )


def _median_gap(tasks: TaskSpans) -> float:
    """The median gap between two tasks of a worker."""
    order = np.lexsort((tasks.start, tasks.lane))
    lane, start, end = tasks.lane[order], tasks.start[order], tasks.end[order]
    same = lane[1:] == lane[:-1]
    gaps = (start[1:] - end[:-1])[same]
    return float(np.median(gaps)) if len(gaps) else 0.0
