"""The GIL wait of tasks where no capture recorded it: an interval that contains it, from what the system counts.

No counter of the system says "this thread waits for the GIL". But the wall time of a task is a sum:

    task wall = on-CPU + GIL wait + run-queue wait + steal + blocking of the task's own

On-CPU time is read at both ends of every task, on the task's own thread. Run-queue wait (ready, but no CPU
free) is counted by the kernel per thread, from schedstat. Steal is the time the hypervisor gave the CPU to
another machine; it is in no CPU time, the kernel counts it per machine only. Tasks of kinds `cpu` and
`native` do not block on purpose, so for them the last term is nothing. With residual = task wall - task CPU,
then

    residual = GIL wait + run-queue wait + steal          and therefore
    residual - run-queue - steal  <=  GIL wait  <=  residual

where both ends are clipped at 0. The upper end keeps the run-queue wait, because a thread that is woken
to take the GIL and then queues for a CPU still waits for the GIL. The lower end takes the most that each term
can have been: the thread's run-queue wait of its whole life, and all the steal of the machine, since it may
have hit this one thread. Steal is shown in ticks of 10 ms and the kernel books it at ticks, so one tick per
CPU in use and one for the rounding are added; where the machine's count since boot is 0 there is no
hypervisor that steals, and nothing is added.

Of a whole run the same steal is taken off once, not once per thread: sum(residual - run-queue) - steal.

Between the wall stamps and the CPU readings of a task lie about 2 µs of our own readings, which are no
wait: of 20,000 tiny tasks they would make 40 ms of false wait. The measured process finds out how much a
task that does nothing has of it (counter `reading_gap_ns`, a median). The lower end takes off twice that per
task: unless the thread is preempted between the two, which the run-queue wait then holds, or its caches are
cold at every task, it is the most that it can be. The upper end keeps it.

`value` is the best guess inside the interval: residual - run-queue - one such gap per task - the thread's
share of the steal by CPU time (wall - CPU - run-queue was within 0.1 % of the kernel's own answer in runs
without steal).

The other cases, by `method`:

    no-gil          the GIL is off: 0, measured
    single-thread   the process has one thread, or the model is serial: no other thread holds the GIL, so 0..0
    schedstat       the interval above
    portable        no run-queue count (macOS, Windows): 0..residual, value = residual - gaps

Where tasks block by themselves (kinds io, mixed, memory, ipc, fault), where coroutines share a thread, where
each thread has an interpreter and so a GIL of its own, and where the process has threads that are not the
model's (a BLAS pool), the residual can be something else altogether: the lower end is 0 and so is the value;
`reason` says which.

Only task spans count: a worker that waits for work waits for no GIL to speak of. The wait of the main
thread and of threads a task starts is not in it. Threads that a task starts itself and ends again are not
counted at all, because threads are counted at the ends of the run window: a task of a `single-thread` process
that shares the GIL with its own threads still reads 0..0. (The process's CPU time beside that of its tasks
would not tell: imports and the executor are in it too.)

A program has no tasks, and its threads block by themselves: there the bound is 0..life - CPU time of each thread,
0..0 where the thread is the only one of its process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.estimate import Estimate, Place, bound, measured, unavailable
from tracekit.analysis.metrics.interval_timeline import to_ints
from tracekit.analysis.metrics.lifetimes import NATIVE
from tracekit.analysis.metrics.thread_sums import sum_bounds
from tracekit.analysis.tables import records
from tracekit.bundle.names import SERIAL

TICK_NS = 10_000_000
"""What /proc/stat counts steal in: USER_HZ is 100 on every architecture Linux runs CPython on."""

PURE_KINDS = ("cpu", "native")
"""Kinds whose tasks do not block on purpose, see workload.Workload."""

_MODELS_OWN = ("main", "worker")
"""Roles of the threads that a model starts."""
NO_TASK = "no task was recorded in this run"
_OF_PROGRAMS = "a program's threads also block by themselves"


def bound_gil_waits(
    usable_runs: Sequence[Mapping[str, Any]],
    lifetimes: pd.DataFrame,
    task_time: pd.DataFrame,
    steal: pd.DataFrame,
) -> dict[Place, Estimate]:
    """The bound of each run and of each of its threads, of programs also of processes; runs without a task are left
    out.

    `task_time` is that of `add_thread_counts`, `steal` the machine's changes of steal_ns.
    """
    runs = {run["run_id"]: run for run in usable_runs}
    estimates, places = _of_tasks(runs, task_time, _steal(runs, steal))
    return {**{(run_id,): item for run_id, item in estimates.items()}, **places, **_of_programs(runs, lifetimes)}


def _of_programs(runs: Mapping[str, Mapping[str, Any]], threads: pd.DataFrame) -> dict[Place, Estimate]:
    """From threads whose lifetime and CPU time are known; a run that lacks one of them is left out."""
    threads = threads[threads["counts"] & threads["program"]]
    lacking = set(threads.loc[threads["cpu_ns"].isna(), "run_id"])
    off = {run_id for run_id, run in runs.items() if run["gil_enabled"] is False}
    threads = threads[~threads["run_id"].isin(lacking | off)]
    waited = to_ints(threads["died"]) - to_ints(threads["born"]) - to_ints(threads["cpu_ns"])
    beside = threads.groupby(["run_id", "pid"])["tid"].transform("size")
    most = np.where(beside.to_numpy(np.int64) > 1, np.maximum(waited, 0), 0)
    counted = threads["run_queue_wait_ns"].notna().to_numpy(bool)
    nothing = np.zeros(len(most), np.int64)
    found: dict[Place, Estimate] = {}
    for _, rows in threads.assign(row=np.arange(len(threads))).groupby("run_id", sort=False)["row"]:
        of_run = rows.to_numpy(np.int64)
        method = "schedstat" if counted[of_run].all() else "portable"
        part = threads.iloc[of_run]
        found |= sum_bounds(part, (nothing[of_run], nothing[of_run], most[of_run]), method, reason=_OF_PROGRAMS)
    programs = {run_id for run_id, run in runs.items() if is_program(run)}
    return {**found, **{(run_id,): measured(0.0, "no-gil") for run_id in off & programs}}


def _of_tasks(
    runs: Mapping[str, Mapping[str, Any]], task_time: pd.DataFrame, steal: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, Estimate], dict[Place, Estimate]]:
    """The bound of each run and of each of its threads that did a task."""
    places: dict[Place, Estimate] = {}
    by_run: dict[str, list[dict[str, Any]]] = {}
    for thread in records(task_time):
        if thread["run_id"] in runs:
            by_run.setdefault(thread["run_id"], []).append(thread)
    estimates: dict[str, Estimate] = {}
    for run_id, of_run in by_run.items():
        run, stolen = runs[run_id], steal.get(run_id)
        total_cpu = sum(thread["cpu"] or 0.0 for thread in of_run)
        for thread in of_run:
            place = (run_id, thread["pid"], thread["tid"])
            places[place] = _estimate(run, [thread], stolen, total_cpu)
        estimates[run_id] = _estimate(run, of_run, stolen, total_cpu)
    return estimates, places


def _estimate(
    run: Mapping[str, Any], threads: list[dict[str, Any]], steal: tuple[float, float] | None, total_cpu: float
) -> Estimate:
    """The interval of these threads of one run; `steal` as `_steal` gives it."""
    count = len(threads)
    if run["gil_enabled"] is False:
        return measured(0.0, "no-gil", n=count)
    contended = [thread for thread in threads if not _alone(run, thread)]
    if not contended:
        return bound(0.0, 0.0, 0.0, "single-thread", n=count)
    if any(thread["cpu"] is None for thread in contended):
        return unavailable("the CPU time of the tasks was not read")
    # Where coroutines share a thread their CPU times contain each other, so only the wall is an upper end.
    residual = sum(
        thread["wall"] if thread["overlap"] else max(0.0, thread["wall"] - thread["cpu"]) for thread in contended
    )
    known = all(thread["queue"] is not None for thread in contended)
    method = "schedstat" if known else "portable"
    gaps = sum(thread["gap"] for thread in contended)
    doubt = _other_waits(run, contended)
    if doubt is not None:
        return bound(0.0, 0.0, residual, method, n=count, reason=doubt)
    if not known:
        guess = max(0.0, residual - gaps)
        return bound(0.0, guess, residual, method, n=count, reason="run-queue wait and steal are in the residual")
    guess, least = _waited(contended, gaps=1), _waited(contended, gaps=2)
    if steal is None:
        return bound(0.0, guess, residual, method, n=count, reason="steal was not read")
    stolen, most = steal
    share = sum(thread["cpu"] for thread in contended) / total_cpu if total_cpu else 1.0
    return bound(max(0.0, least - most), guess - stolen * share, residual, method, n=count)


def _waited(threads: list[dict[str, Any]], *, gaps: int) -> float:
    """Residual - run-queue wait - that many reading gaps per task, at least 0 for each thread, summed."""
    left = (thread["wall"] - thread["cpu"] - thread["queue"] - gaps * thread["gap"] for thread in threads)
    return sum((max(0.0, float(each)) for each in left), start=0.0)


def _alone(run: Mapping[str, Any], thread: Mapping[str, Any]) -> bool:
    """Whether no other thread shares the GIL of this one."""
    return bool(run["model"] == SERIAL or thread["process_threads"] == 1)


def _other_waits(run: Mapping[str, Any], threads: list[dict[str, Any]]) -> str | None:
    """What else these tasks may have waited for, or None."""
    if run["kind"] not in PURE_KINDS:
        return f"tasks of kind {run['kind'] or 'unknown'} also block by themselves"
    if any(thread["overlap"] for thread in threads):
        return "tasks share a thread: their waits contain each other"
    if run["model"] == "interpreters":
        return "each interpreter has a GIL of its own"
    if any(thread["process_threads"] is None or thread["process_threads"] > thread["known"] for thread in threads):
        return "the process has threads that are not the model's, which tasks may wait for"
    return None


def find_other_threads(task_time: pd.DataFrame) -> frozenset[str]:
    """Runs in which a process has threads that the model did not start, such as those of a BLAS."""
    more = task_time["process_threads"].notna() & (task_time["process_threads"] > task_time["known"])
    return frozenset(task_time.loc[more, "run_id"])


def add_thread_counts(task_time: pd.DataFrame, counters: pd.DataFrame, threads: pd.DataFrame) -> pd.DataFrame:
    """The task times with two more columns for the process of each thread.

    process_threads   the most threads that the process was seen with, NaN where they were not counted
    known             how many of them the model started; the wait probe records all others as well
    """
    seen = counters[(counters["counter"] == "threads") & (counters["scope"] == "process")]
    most = seen.groupby(["run_id", "pid"])["value"].max().rename("process_threads").reset_index()
    python = threads[(threads["role"] != NATIVE).fillna(True)]
    ours = python[python["role"].isin(_MODELS_OWN)]
    known = ours.groupby(["run_id", "pid"])["tid"].nunique().rename("known").reset_index()
    recorded = python.groupby(["run_id", "pid"])["tid"].nunique().rename("recorded").reset_index()
    most = most.merge(known.merge(recorded, how="outer"), on=["run_id", "pid"], how="outer")
    counted = ["known", "recorded"]
    most[counted] = most[counted].fillna(0).astype("int64")
    # A thread that is recorded exists, however few were there at the moment of counting.
    enough = most["process_threads"] >= most["recorded"]
    most["process_threads"] = most["process_threads"].where(enough, most["recorded"])
    frame = task_time.merge(most.drop(columns="recorded"), on=["run_id", "pid"], how="left")
    frame["known"] = frame["known"].fillna(0)
    return frame


def _steal(runs: Mapping[str, Mapping[str, Any]], steal: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Per run: the steal as counted, and the most it can have been."""
    found: dict[str, tuple[float, float]] = {}
    for row in records(steal):
        if row["value"] is not None and row["run_id"] in runs:
            ticks = 0 if row["reading"] == 0 else int(runs[row["run_id"]]["workers"] or 1) + 2
            found[row["run_id"]] = (row["value"], row["value"] + ticks * TICK_NS)
    return {run_id: ends for run_id, ends in found.items() if math.isfinite(ends[1])}
