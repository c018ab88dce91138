"""A suite of threads with the controls from which the other models are predicted, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import one_row
from tracekit.analysis.metrics.predict.worker_costs import LARGE
from tracekit.analysis.tables import Tables, from_rows, records


def suite(
    *,
    controls: bool = True,
    pickled: bool = True,
    threads: int = 3,
    kind: str = "cpu",
    error: str | None = None,
    together: Sequence[int] = (1, 1, 1, 1, 1),
    queued: int = 1,
    slow: Sequence[int] = (1, 1, 1, 1, 1),
) -> Tables:
    """Five rounds of threads that computed 8 x 10 ms in turn, and their controls: workers up after 30 ms, 0.1 ms a
    task, 2 ms more for a MiB, 13 ms to stop.

    together: how many times its CPU time alone a task takes beside another, by round; queued: wall over CPU time,
    because other programs have the CPU; slow: how many times as long each round takes for everything. Spawned workers
    are up after 60 ms.
    """
    maker = Maker()
    for repeat, times in enumerate(slow, 1):
        run = maker.run("threads", 85 * MS * queued, repeat=repeat, kind=kind)
        main = run["main_pid"]
        for item in range(8):
            begin = run["start_ns"] + item * 10 * MS * times
            done(maker, run, (main, main + 1 + item % 2), item, begin, 10 * MS * times)
        for tid in (main, main + 1, main + 2):
            maker.thread(
                run, main, tid, run["start_ns"], run["start_ns"] + 85 * MS, role="main" if tid == main else "worker"
            )
        maker.counter(run, main, "threads", 1, threads)
        if controls:
            of_workers(maker, repeat, "fork", 30 * MS, times)
            of_workers(maker, repeat, "spawn", 60 * MS, times)
            of_spin(maker, repeat, together[repeat - 1], queued)
    warmup = maker.run("threads", 85 * MS, repeat=0, warmup=True, kind=kind)
    times = dict.fromkeys(("item_dumps_ns", "item_loads_ns", "result_dumps_ns", "result_loads_ns"), 0)
    if error is not None:
        maker.row("pickles", run_id=warmup["run_id"], item=0, error=error)
    for item in range(8 if pickled and error is None else 0):
        maker.row("pickles", run_id=warmup["run_id"], item=item, item_bytes=10, result_bytes=10, **times)
    return maker.tables()


def done(
    maker: Maker, run: dict[str, Any], who: tuple[int, int], item: int, start: int, took: int, queued: int = 1
) -> None:
    """A task that computed so long, and had no CPU for the rest of `queued` times that."""
    maker.span(run, *who, "task", start, took * queued, item=item, cpu_ns=took)


def of_workers(maker: Maker, repeat: int, model: str, ready: int, times: int) -> None:
    """One of two workers sleeps, the other one does the rest."""
    first, each, large = (took * times for took in (ready, MS // 10, MS // 10 + 2 * MS))
    last = first + 200 * MS + (LARGE - 1) * large
    wall = last + 15 * MS * times
    run = maker.run(model, wall, workload="worker-costs", control=True, repeat=repeat, kind="io")
    pids = [maker.pid(), maker.pid()]
    begin = run["start_ns"]
    for worker, pid in enumerate(pids):
        stamps = {"interpreter_ready_ns": begin + first - MS, "first_task_ns": begin + first}
        maker.process(run, pid, "worker", worker=worker, spawn_requested_ns=begin, **stamps)
    done(maker, run, (pids[0], pids[0]), 0, begin + first, 150 * MS)
    for number in range(100):
        done(maker, run, (pids[1], pids[1]), 1 + number, begin + first + number * each, 0)
    for number in range(LARGE):
        done(maker, run, (pids[1], pids[1]), 101 + number, begin + first + 200 * MS + number * large, 0)
    maker.span(run, run["main_pid"], run["main_pid"], "shutdown", begin + last + 5 * MS * times, 10 * MS * times)


def of_spin(maker: Maker, repeat: int, together: int, queued: int) -> None:
    for model, cpu in (("serial", 10 * MS), ("fork", 10 * MS * together)):
        run = maker.run(model, 100 * MS, workload="spin", control=True, repeat=repeat)
        for item in range(8):
            pid = run["main_pid"] + (0 if model == "serial" else 1 + item % 2)
            # Two at a time in processes, without a gap.
            begin = (item if model == "serial" else item // 2) * cpu * queued
            done(maker, run, (pid, pid), item, run["start_ns"] + begin, cpu, queued)


def with_runs(tables: Tables, model: str, walls_ms: Sequence[int]) -> Tables:
    """The same with a run of that model in each round."""
    runs = [
        {
            **row,
            "model": model,
            "workers": 1 if model == "serial" else 2,
            "start_method": "" if model == "serial" else model,
            "run_id": f"{model}-{row['repeat']}",
            "wall_ns": walls_ms[row["repeat"] - 1] * MS,
        }
        for row in records(tables.runs)
        if row["workload"] == "matmul" and row["model"] == "threads" and not row["warmup"]
    ]
    return replace(tables, runs=from_rows("runs", [*records(tables.runs), *runs]))


def of_threads(tables: Tables, metric: str) -> dict[str, Any]:
    return one_row(tables, metric, scope="cell", model="threads", workload="matmul")
