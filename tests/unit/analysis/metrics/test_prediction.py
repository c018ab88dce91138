"""Predicted walls and break-even, computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import ends, one_row
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.predict import break_even_terms
from tracekit.analysis.metrics.predict.prediction import predict_pool_wall, predict_serial_wall
from tracekit.analysis.metrics.predict.task_demand import TaskDemand, measure_outside_waits
from tracekit.analysis.metrics.predict.worker_costs import LARGE, LARGE_BYTES, ParallelSlowdown, PoolCosts
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.comparison import what_if
from tracekit.analysis.tables import Tables, from_rows, records

FREE = ParallelSlowdown(workers=2, cpu=1.0, wall=1.0, between_ns=0.0)


def demand(*cpu_ms: float, waits_ms: float = 0.0, result_bytes: float = 0.0, busy: float = 1.0) -> TaskDemand:
    """Tasks that compute so long, and each waits so long besides."""
    count = len(cpu_ms)
    return TaskDemand(
        cpu=np.array(cpu_ms) * MS,
        waits=np.full(count, waits_ms * MS),
        busy=busy,
        item_bytes=np.zeros(count),
        result_bytes=np.full(count, result_bytes),
        pickling=np.zeros((count, 4)),
    )


def pool(*ready_ms: float, per_task_ms: float = 0.0, per_byte_ns: float = 0.0, stop_ms: float = 0.0) -> PoolCosts:
    return PoolCosts(
        ready_ns=tuple(ready * MS for ready in ready_ms),
        per_task_ns=per_task_ms * MS,
        per_byte_ns=per_byte_ns,
        stop_ns=stop_ms * MS,
    )


def test_each_task_goes_to_the_worker_that_is_free_first() -> None:
    # Up at 1 and 2: 1-11, 2-12, 11-21, 12-22; and 3 to stop.
    assert predict_pool_wall(demand(10, 10, 10, 10), pool(1, 2, stop_ms=3), FREE) == pytest.approx(25 * MS)
    # A long one at the end keeps one of them busy: 0-10, 0-10, 10-60.
    assert predict_pool_wall(demand(10, 10, 50), pool(0, 0), FREE) == pytest.approx(60 * MS)


def test_a_worker_needs_some_time_between_two_tasks() -> None:
    slow = ParallelSlowdown(workers=2, cpu=1.0, wall=1.0, between_ns=2.0 * MS)
    assert predict_pool_wall(demand(10, 10, 10, 10), pool(0, 0), slow) == pytest.approx(22 * MS)


def test_tasks_that_take_nothing_come_as_fast_as_they_are_handed_out() -> None:
    assert predict_pool_wall(demand(*[0.0] * 50), pool(0, 0, per_task_ms=1), FREE) == pytest.approx(50 * MS)


def test_large_results_are_read_one_after_another() -> None:
    # 4 results of 1 MB at 10 ns a byte are 10 ms each on one pipe; the first is on its way from the beginning.
    took = predict_pool_wall(demand(0, 0, 0, 0, result_bytes=1e6), pool(0, 0, per_byte_ns=10), FREE)
    assert took == pytest.approx(40 * MS)


def test_computing_beside_others_takes_longer_and_alone_it_does_not() -> None:
    shared = ParallelSlowdown(workers=2, cpu=1.5, wall=1.0, between_ns=0.0)
    assert predict_pool_wall(demand(10, 10), pool(0, 0), shared) == pytest.approx(15 * MS)
    # 0-15 both at 1.5, and the 20 that are left of the second one alone.
    assert predict_pool_wall(demand(10, 30), pool(0, 0), shared) == pytest.approx(35 * MS)
    # Seen while two computed, the CPU time has it already.
    assert predict_pool_wall(demand(15, 15, busy=2.0), pool(0, 0), shared) == pytest.approx(15 * MS)
    assert predict_serial_wall(demand(15, 15, busy=2.0), shared) == pytest.approx(20 * MS)


def test_waits_are_not_slowed_down_by_others() -> None:
    shared = ParallelSlowdown(workers=2, cpu=2.0, wall=1.0, between_ns=0.0)
    assert predict_pool_wall(demand(0, 0, waits_ms=10), pool(0, 0), shared) == pytest.approx(10 * MS)


@given(
    tasks=st.integers(1, 60),
    length=st.floats(0.1, 50),
    ready=st.lists(st.floats(0, 100), min_size=1, max_size=4),
    per_task=st.floats(0, 2),
    between=st.floats(0, 1),
)
def test_equal_tasks_played_through_take_what_the_formula_says(
    tasks: int, length: float, ready: list[float], per_task: float, between: float
) -> None:
    beside = ParallelSlowdown(workers=len(ready), cpu=1.0, wall=1.0, between_ns=between * MS)
    made = pool(*sorted(ready), per_task_ms=per_task, stop_ms=1)
    played = predict_pool_wall(demand(*[length] * tasks), made, beside)
    terms = terms_with(made, beside, tasks=tasks)
    formula = float(break_even_terms.compute_pool_wall(terms, "fork", np.array(length * MS), np.array(float(tasks))))
    # The formula lets the parent hand out and the workers work as if neither ever waited for the other.
    assert formula <= played * (1 + 1e-6)
    assert played <= formula + tasks * per_task * MS + 1


def test_a_great_many_workers_are_taken_together() -> None:
    made = pool(*(number / 10 for number in range(200)), stop_ms=1)
    beside = ParallelSlowdown(workers=200, cpu=1.0, wall=1.0, between_ns=0.0)
    played = predict_pool_wall(demand(*[50] * 2000), made, beside)
    formula = break_even_terms.compute_pool_wall(
        terms_with(made, beside), "fork", np.array(50.0 * MS), np.array(2000.0)
    )
    assert float(formula) == pytest.approx(played, rel=0.02)


def terms_with(made: PoolCosts, beside: ParallelSlowdown = FREE, **values: Any) -> break_even_terms.BreakEvenTerms:
    """A workload of tasks that hold the GIL."""
    known: dict[str, Any] = {
        "tasks": 16,
        "task_ns": 10.0 * MS,
        "computing": 1.0,
        "threads": 1.0,
        "item_bytes": 0.0,
        "result_bytes": 0.0,
        "parent_ns": 0.0,
        "worker_ns": 0.0,
    }
    return break_even_terms.BreakEvenTerms(**{**known, **values}, pools={"fork": made}, slowdown=beside)


def test_the_length_from_which_a_pool_pays() -> None:
    # 16 L = 30 + 8 L + 10 at L = 5.
    found = break_even_terms.find_task_length(terms_with(pool(30, 30, stop_ms=10)), "fork")
    assert found == pytest.approx(5 * MS, rel=0.02)


def test_the_number_from_which_a_pool_pays() -> None:
    # 10 n = 40 + 5 n at n = 8, where both are as fast; with 9 tasks one worker has 5 of them: 90 > 90 is not faster.
    assert break_even_terms.find_task_count(terms_with(pool(30, 30, stop_ms=10)), "fork") == 10


def test_no_task_is_long_enough_where_threads_are_as_fast() -> None:
    assert break_even_terms.find_task_length(terms_with(pool(30, 30), threads=2.0), "fork") is None
    assert break_even_terms.find_task_count(terms_with(pool(30, 30), threads=2.0), "fork") is None


def test_a_larger_payload_asks_for_longer_tasks() -> None:
    terms = terms_with(pool(30, 30, stop_ms=10, per_byte_ns=1.0), result_bytes=1000.0)
    small, large = (break_even_terms.find_task_length(terms, "fork", payload=size) for size in (1.0, 16e6))
    assert small is not None
    assert large is not None
    assert large > 2 * small


def suite(
    *,
    controls: bool = True,
    pickled: bool = True,
    threads: int = 3,
    kind: str = "cpu",
    error: str | None = None,
    together: int = 1,
    queued: int = 1,
    slow: Sequence[int] = (1, 1, 1, 1, 1),
) -> Tables:
    """Five rounds of threads that computed 8 x 10 ms in turn, and their controls: workers up after 30 ms, 0.1 ms a
    task, 2 ms more for a MiB, 13 ms to stop.

    together: how many times its CPU time alone a task takes beside another; queued: wall over CPU time, because other
    programs have the CPU; slow: how many times as long each round takes for everything. Spawned workers are up after
    60 ms.
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
            of_spin(maker, repeat, together, queued)
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


def test_a_run_with_waits_and_without_a_recorded_task_has_no_demand() -> None:
    """Its tasks lowered a limit, after which no process could write its stream."""
    maker = Maker()
    run = maker.run("threads", 10 * MS, capture="waits")
    maker.wait(run, run["main_pid"], run["main_pid"], "io", run["start_ns"], MS)
    made = Analysis(maker.tables())
    assert measure_outside_waits(made.recorded_waits, made.tables.spans, made.usable_runs) == {}


def test_waits_beside_viztracer_are_no_demand() -> None:
    """That run has the number of a round, whose waits under the probe alone it would replace."""
    maker = Maker()
    for capture in ("waits", "waits+viztracer", "waits+kernel"):
        run = maker.run("threads", 10 * MS, capture=capture, run_id=capture)
        done(maker, run, (run["main_pid"], run["main_pid"]), 0, run["start_ns"], 10 * MS)
        maker.wait(run, run["main_pid"], run["main_pid"], "sleep", run["start_ns"], 4 * MS)
    made = Analysis(maker.tables())
    found = measure_outside_waits(made.recorded_waits, made.tables.spans, made.usable_runs)
    assert {run_id: list(waits) for run_id, waits in found.items()} == {"waits": [4 * MS], "waits+kernel": [4 * MS]}


def test_the_costs_are_read_off_the_controls() -> None:
    costs = Analysis(suite()).worker_costs["Linux", "3.13", 2][1]
    made = costs.pools["fork"]
    assert made.ready_ns == (30 * MS, 30 * MS)
    assert made.per_task_ns == pytest.approx(MS / 10)
    assert made.per_byte_ns == pytest.approx(2 * MS / LARGE_BYTES)
    # 10, and 5 from the last task to the request, 2 of which its MiB was on its way.
    assert made.stop_ns == pytest.approx(13 * MS)
    assert costs.slowdown == ParallelSlowdown(workers=2, cpu=1.0, wall=1.0, between_ns=0.0)


def of_threads(tables: Tables, metric: str) -> dict[str, Any]:
    return one_row(tables, metric, scope="cell", model="threads", workload="matmul")


def test_a_prediction_is_a_row_of_the_threads_that_it_is_from() -> None:
    tables = suite()
    serial = of_threads(tables, "predicted_serial_wall_ns")
    assert ends(serial) == (80 * MS, 80 * MS, 80 * MS)
    assert (serial["quality"], serial["n"]) == ("estimated", 5)
    # 30 to start, 4 tasks each, 13 to stop; 20 bytes cost nothing to speak of.
    assert of_threads(tables, "predicted_fork_wall_ns")["value"] == pytest.approx(83 * MS, rel=1e-4)
    # 8 L = 30 + 4 L + 13 for fork; threads are slower than one after another, so that serial is asked.
    assert of_threads(tables, "break_even_fork_task_ns")["value"] == pytest.approx(10.75 * MS, rel=0.02)
    assert one_row(tables, "predicted_fork_wall_ns", scope="cell", model="fork", workload="spin")["reason"]


def test_what_other_programs_took_of_the_cpus_is_in_a_prediction() -> None:
    quiet, busy = suite(), suite(queued=2)
    serial = [of_threads(tables, "predicted_serial_wall_ns")["value"] for tables in (quiet, busy)]
    assert serial == [80 * MS, 160 * MS]
    # 30 to start, 4 tasks of 20 each, 13 to stop.
    assert of_threads(busy, "predicted_fork_wall_ns")["value"] == pytest.approx(123 * MS, rel=1e-4)
    # 8 L = 30 + 4 L + 13: what a task takes alone on that machine.
    assert of_threads(busy, "break_even_fork_task_ns")["value"] == pytest.approx(10.75 * MS, rel=0.02)


def test_break_even_never_comes_with_both_speeds_as_they_are() -> None:
    tables = suite(together=2)
    row = of_threads(tables, "break_even_fork_task_ns")
    assert (row["quality"], row["value"]) == ("unavailable", None)
    # Computing beside the other takes twice as long, so two do no more than one; threads took 85 ms for 80.
    assert row["reason"] == (
        "no task is long enough: processes would be at most 1.00x as fast as one after another, and threads are 0.94x"
    )
    tables.metrics = compute_all(Analysis(tables))
    (sentence,) = what_if.sentences(Analysis(tables), groups(tables))
    assert sentence.startswith("Processes have no break-even here: no task is long enough")


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


def test_predictions_are_compared_with_measurements_round_by_round() -> None:
    tables = with_runs(suite(), "serial", (100, 200, 300, 400, 1_000))
    tables.metrics = compute_all(Analysis(tables))
    table = what_if.by_topic(Analysis(tables), groups(tables))[what_if.PREDICTION]
    serial = table.groups[0].rows[0].fields[2]
    # 80 over 100, 200, 300, 400, 1000: geometric mean .267; s of the logarithms is .861, t(4) s / sqrt(5) 1.069.
    assert (serial.main, serial.sub) == ("0.27x", "0.09–0.77")


@pytest.mark.parametrize("measured", [False, True])
def test_start_methods_are_compared_round_by_round_so_that_noise_of_a_round_is_not_in_it(measured: bool) -> None:
    slow = (1, 4, 2, 8, 3)
    tables = suite(slow=slow)
    if measured:
        for model, walls in (("fork", (100,) * 5), ("spawn", (200, 400, 400, 400, 800))):
            tables = with_runs(tables, model, [wall * times for wall, times in zip(walls, slow, strict=True)])
    tables.metrics = compute_all(Analysis(tables))
    table = what_if.by_topic(Analysis(tables), groups(tables))[what_if.START_METHODS]
    fork, spawn = table.groups[0].rows
    assert fork.fields[2].main == "is the default"
    assert {row.fields[1].tag for row in (fork, spawn)} == {"measured" if measured else "predicted"}
    # Measured, base 2 the logarithms are 1, 2, 2, 2, 3: t(4) s / sqrt(5) = .878. Predicted, they are 60 + 40 + 13 over
    # 30 + 40 + 13 in every round.
    expected = ("4.00x", "2.18–7.35") if measured else ("1.36x", "1.36–1.36")
    assert (spawn.fields[2].main, spawn.fields[2].sub) == expected


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"kind": "io"}, "no capture recorded"),
        ({"pickled": False}, "was not counted in the warm-up run"),
        ({"error": "TypeError: cannot pickle"}, "item 0 or its result cannot go to another process: TypeError"),
        ({"controls": False}, "what so many workers cost was not measured"),
        ({"threads": 9}, "threads that are not the model's"),
    ],
)
def test_what_cannot_be_predicted_says_why(made: dict[str, Any], words: str) -> None:
    tables = suite(**made)
    for metric in ("predicted_fork_wall_ns", "break_even_fork_task_ns", "break_even_fork_tasks"):
        row = of_threads(tables, metric)
        assert (row["quality"], row["value"]) == ("unavailable", None)
        assert words in row["reason"]
