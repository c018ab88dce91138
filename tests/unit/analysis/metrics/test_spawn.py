"""What starting and ending workers costs, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row


def spawned(maker: Maker, *took_ms: int, teardown_ms: int | None = 5, **values: Any) -> dict[str, Any]:
    """A run of worker processes that took so long each."""
    run = maker.run("forkserver", 500 * MS, **values)
    for worker, took in enumerate(took_ms):
        stamps = {"spawn_requested_ns": run["start_ns"], "interpreter_ready_ns": run["start_ns"] + took * MS}
        pid = maker.pid()
        maker.process(run, pid, "worker", worker=worker, **stamps)
        # Its main thread, as the loader derives it: must not be counted as a second start.
        maker.thread(
            run,
            pid,
            pid,
            stamps["interpreter_ready_ns"],
            run["start_ns"] + 400 * MS,
            worker=worker,
            spawn_requested_ns=run["start_ns"],
        )
    if teardown_ms is not None:
        main = run["main_pid"]
        maker.span(run, main, main, "shutdown", run["start_ns"] + 400 * MS, teardown_ms * MS)
    return run


def test_start_is_request_to_first_instruction() -> None:
    maker = Maker()
    spawned(maker, 120, 20, 30)
    rows = all_rows(maker.tables(), "spawn_first_instruction_ns", scope="process")
    assert [row["value"] for row in rows] == [120 * MS, 20 * MS, 30 * MS]
    run = one_row(maker.tables(), "spawn_first_instruction_ns", scope="run")
    assert (run["value"], run["n"]) == (30 * MS, 3)


def test_a_cell_is_pooled_over_runs_like_its_total() -> None:
    maker = Maker()
    for repeat, took in enumerate((10, 20, 30, 40, 50), 1):
        spawned(maker, took, took, repeat=repeat)
    cell = one_row(maker.tables(), "spawn_first_instruction_ns", scope="cell")
    # Workers of one run share its luck: pooling workers would give a narrower interval than the runs' own spread.
    assert (*ends(cell), cell["n"]) == (10 * MS, 30 * MS, 50 * MS, 5)


def test_first_worker_is_worker_0_whatever_its_row() -> None:
    maker = Maker()
    spawned(maker, 120, 20, 30)
    tables = maker.tables()
    tables.processes = tables.processes.iloc[::-1].reset_index(drop=True)
    assert one_row(tables, "spawn_first_worker_ns", scope="run")["value"] == 120 * MS


def test_threads_are_measured_by_their_own_stamps() -> None:
    maker = Maker()
    run = maker.run("threads", 500 * MS)
    main, begin = run["main_pid"], run["start_ns"]
    for worker, took in enumerate((100_000, 300_000)):
        maker.thread(run, main, main + 1 + worker, begin + took, begin + MS, worker=worker, spawn_requested_ns=begin)
    rows = all_rows(maker.tables(), "spawn_first_instruction_ns", scope="thread")
    assert [(row["tid"] - main, row["value"]) for row in rows] == [(1, 100_000), (2, 300_000)]
    assert one_row(maker.tables(), "spawn_first_instruction_ns", scope="run")["value"] == 200_000
    assert one_row(maker.tables(), "spawn_first_worker_ns", scope="run")["value"] == 100_000


def test_total_is_a_start_and_the_end_of_all() -> None:
    maker = Maker()
    spawned(maker, 120, 20, 30, teardown_ms=5)
    assert one_row(maker.tables(), "teardown_ns", scope="run")["value"] == 5 * MS
    assert one_row(maker.tables(), "spawn_total_ns", scope="run")["value"] == 35 * MS


@pytest.mark.parametrize(
    "metric", ["spawn_first_instruction_ns", "spawn_first_worker_ns", "spawn_total_ns", "teardown_ns"]
)
def test_serial_starts_nobody(metric: str) -> None:
    maker = Maker()
    run = maker.run("serial", 500 * MS)
    maker.span(run, run["main_pid"], run["main_pid"], "shutdown", run["start_ns"], 0)
    for row in all_rows(maker.tables(), metric):
        assert (row["value"], row["quality"], row["reason"]) == (None, "unavailable", "no worker is started")


def test_missing_stamps_are_unavailable_not_zero() -> None:
    maker = Maker()
    spawned(maker, 10, teardown_ms=None)
    assert one_row(maker.tables(), "spawn_total_ns", scope="run")["reason"] == "the end of the workers was not stamped"
    tables = maker.tables()
    tables.processes["interpreter_ready_ns"] = None
    tables.processes["interpreter_ready_ns"] = tables.processes["interpreter_ready_ns"].astype("Int64")
    row = one_row(tables, "spawn_first_instruction_ns", scope="run")
    assert (row["quality"], row["reason"]) == ("unavailable", "the start of the workers was not stamped")


def test_an_instruction_before_its_request_is_no_number() -> None:
    maker = Maker()
    spawned(maker, -5)
    row = one_row(maker.tables(), "spawn_first_instruction_ns", scope="process")
    assert (row["quality"], row["reason"]) == ("unavailable", "the first instruction is stamped before the request")
