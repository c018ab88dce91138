"""Predicted walls and break-even, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import ends, one_row
from tests.unit.analysis.metrics.predicted_suite import done, of_threads, suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.predict import break_even_terms
from tracekit.analysis.metrics.predict.prediction import predict_pool_wall, predict_serial_wall
from tracekit.analysis.metrics.predict.task_demand import TaskDemand, measure_outside_waits
from tracekit.analysis.metrics.predict.worker_costs import LARGE_BYTES, ParallelSlowdown, PoolCosts

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
