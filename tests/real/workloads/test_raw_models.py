"""Models without an executor: the same results as with one, and an end when a worker fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Tracekit, read_rows
from tests.real.leftovers import abandoned_segments, assert_nothing_left, measured_processes
from tests.real.quick import QUICK, assert_two_lines, measure

RAW = ("raw-threads", "raw-fork", "raw-spawn", "raw-forkserver")
PROCESSES = RAW[1:]
ALL = ("threads", "fork", "spawn", "forkserver", *RAW)


@pytest.mark.parametrize("workers", [2, 20])
def test_they_come_to_the_same_results(tmp_path: Path, workers: int) -> None:
    """Also with more workers than items."""
    measure(tmp_path, "primes", workers=(workers,), models=("serial", *RAW))
    runs = read_rows(tmp_path, "runs")
    assert {run["model"]: run["start_method"] for run in runs} == {
        "serial": "",
        "raw-threads": "",
        **{f"raw-{method}": method for method in ("fork", "spawn", "forkserver")},
    }
    assert len({run["checksum"] for run in runs}) == 1
    items = runs[0]["items"]
    starts = read_rows(tmp_path, "starts")
    of_model = [sum("-" + model + "-" in row["run_id"] for row in starts) for model in RAW]
    assert of_model == [min(workers, items)] * 4


def test_memory_is_read_while_all_of_them_are_there(tmp_path: Path) -> None:
    measure(tmp_path, "spin", workers=(3,), warmup=1, models=("raw-threads", "raw-fork", "raw-spawn"))
    rows = read_rows(tmp_path, "metrics")
    methods = {row["model"]: row["method"] for row in rows if row["metric"] == "uss_bytes"}
    many = "psutil, sum over 4 processes"
    assert methods == {"raw-threads": "psutil, 1 process", "raw-fork": many, "raw-spawn": many.replace("4", "5")}, (
        "spawn has a resource tracker as well"
    )


@pytest.mark.parametrize("model", RAW)
def test_what_a_task_raises_is_the_runs_failure(faulty: Path, tracekit: Tracekit, model: str) -> None:
    before = abandoned_segments()
    said = tracekit("run", "faulty:RAISES", *QUICK, "--models", model)
    assert_two_lines(said, 3, "ValueError: item", "is bad")
    assert_nothing_left(faulty, before)


@pytest.mark.parametrize("model", PROCESSES)
def test_a_worker_that_leaves_is_noticed(faulty: Path, tracekit: Tracekit, model: str) -> None:
    said = tracekit("run", "faulty:LEAVES", *QUICK, "--models", model)
    assert_two_lines(said, 3, "worker 0 ended with exit code 7")
    assert not measured_processes(faulty)


def test_a_worker_that_is_killed_is_noticed(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:IS_KILLED", *QUICK, "--models", "raw-fork")
    assert_two_lines(said, 3, "worker 0 ended with exit code -9")


def test_results_that_cannot_be_pickled(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:RESULT_DOES_NOT_PICKLE", *QUICK, "--models", "raw-fork")
    assert_two_lines(said, 3, "the results cannot be sent", "pickle")


def test_workers_that_hang_are_ended(faulty: Path, tracekit: Tracekit) -> None:
    before = abandoned_segments()
    said = tracekit("run", "faulty:HANGS", *QUICK, "--models", "raw-spawn", "--timeout", "3")
    assert_two_lines(said, 3, "was ended after 3 s")
    assert_nothing_left(faulty, before)


def test_start_stop_gives_a_row_per_start_in_the_order_of_its_stamps(tracekit: Tracekit) -> None:
    words = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--capture", "none")
    said = tracekit("run", "start-stop", *words, "--models", ",".join(ALL))
    assert said.code == 0, said.err
    rows = tracekit.rows("starts")
    assert len(rows) == 2 * len(ALL)
    for row in rows:
        stamps = [row[f"{name}_ns"] for name in ("requested", "first_instruction", "first_task", "result", "joined")]
        assert stamps == sorted(stamps), row
    runs = {row["run_id"] for row in rows}
    assert all([row["worker"] for row in rows if row["run_id"] == run] == [0, 1] for run in runs)


def test_start_stop_has_one_worker_at_a_time(tracekit: Tracekit) -> None:
    assert_two_lines(tracekit("run", "start-stop", "--workers", "2"), 2, "one at a time")


def test_only_what_starts_one_by_one_is_measured_with_several_values_of_a_parameter(tracekit: Tracekit) -> None:
    said = tracekit("run", "skewed-tasks", "-P", "chunksize=1", "-P", "chunksize=2")
    assert_two_lines(said, 2, "one value in a suite")
    plan = tracekit("run", "start-stop", "-P", "parent_mb=1", "-P", "parent_mb=2", "--dry-run")
    assert plan.code == 0, plan.err
    assert "parent_mb=1 " in plan.out
    assert "parent_mb=2 " in plan.out
