"""Switches, run-queue waits, steal and memory, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS, SECOND, Maker
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row


def switching(maker: Maker, wall_s: int, main: int, worker: int, **values: Any) -> dict[str, Any]:
    """A run whose main process makes `main` switches in the window, and its worker `worker` in its life."""
    run = maker.run("fork", wall_s * SECOND, **values)
    pid = maker.pid()
    maker.process(run, pid, "worker", worker=0)
    maker.counter(run, run["main_pid"], "voluntary_switches", 1_000, 1_000 + main)
    maker.counter(run, pid, "voluntary_switches", 3, worker)
    return run


def test_switches_are_summed_over_processes() -> None:
    maker = Maker()
    switching(maker, 2, 10, 40)
    assert one_row(maker.tables(), "voluntary_switches", scope="run")["value"] == 50
    assert [row["value"] for row in all_rows(maker.tables(), "voluntary_switches", scope="process")] == [10, 40]


def test_rates_are_sums_over_sums() -> None:
    maker = Maker()
    switching(maker, 1, 10, 90, items=10, repeat=1)
    switching(maker, 9, 20, 80, items=10, repeat=2)
    per_s = one_row(maker.tables(), "voluntary_switches_per_s", scope="cell")
    # 200 switches in 10 s. The mean of the two rates, 100 and 11.1, would be 55.6.
    assert (per_s["value"], per_s["unit"]) == (20, "1/s")
    assert one_row(maker.tables(), "voluntary_switches_per_task", scope="cell")["value"] == 10


def test_where_the_system_does_not_split_them_they_are_unavailable() -> None:
    maker = Maker()
    switching(maker, 1, 10, 90, os="Darwin")
    for metric in ("voluntary_switches", "involuntary_switches", "voluntary_switches_per_s"):
        for row in all_rows(maker.tables(), metric):
            assert (row["value"], row["quality"]) == (None, "unavailable")
    assert "Darwin" in one_row(maker.tables(), "voluntary_switches", scope="cell")["reason"]


def test_unread_switches_are_unavailable_not_zero() -> None:
    maker = Maker()
    switching(maker, 1, 10, 90)
    row = one_row(maker.tables(), "involuntary_switches_per_task", scope="cell")
    assert (row["value"], row["quality"], row["reason"]) == (None, "unavailable", "switches are not counted here")


def test_a_counter_that_fell_is_no_number() -> None:
    maker = Maker()
    switching(maker, 1, -10, 90)
    assert one_row(maker.tables(), "voluntary_switches", scope="run")["quality"] == "unavailable"


def test_run_queue_waits_are_summed_over_threads() -> None:
    maker = Maker()
    run = maker.run("threads", SECOND)
    main = run["main_pid"]
    maker.counter(run, main, "run_queue_wait_ns", 5 * MS, 6 * MS, tid=main, scope="thread")
    maker.counter(run, main, "run_queue_wait_ns", None, 20 * MS, tid=main + 1, scope="thread")
    threads = all_rows(maker.tables(), "run_queue_wait_ns", scope="thread")
    assert [row["value"] for row in threads] == [1 * MS, 20 * MS]
    row = one_row(maker.tables(), "run_queue_wait_ns", scope="run")
    assert (row["value"], row["method"]) == (21 * MS, "schedstat")
    assert one_row(maker.tables(), "timeslices", scope="run")["quality"] == "unavailable"


def test_steal_is_summed_over_the_runs_of_a_cell() -> None:
    maker = Maker()
    for repeat, stolen in enumerate((0, 0, 30), 1):
        run = maker.run("fork", SECOND, repeat=repeat)
        pid = maker.pid()
        maker.process(run, pid, "worker", worker=0)
        maker.counter(run, run["main_pid"], "steal_ns", 100 * MS, (100 + stolen) * MS, scope="machine")
        # A worker reads the same machine's count over its own, shorter life: not to be added or taken instead.
        maker.counter(run, pid, "steal_ns", 100 * MS, 105 * MS, scope="machine")
    cell = one_row(maker.tables(), "steal_ns", scope="cell")
    assert (*ends(cell), cell["n"]) == (30 * MS, 30 * MS, 30 * MS, 3)


def test_memory_is_the_sum_over_processes_of_the_warm_up() -> None:
    maker = Maker()
    run = maker.run("fork", SECOND, warmup=True, repeat=0)
    worker, helper = maker.pid(), maker.pid()
    maker.process(run, worker, "worker", worker=0)
    for pid, pss in ((run["main_pid"], 100), (worker, 40), (helper, 7)):
        maker.memory(run, pid, 10, pss)
    maker.run("fork", SECOND)
    row = one_row(maker.tables(), "pss_bytes")
    # The helper is multiprocessing's own process: the model needs it, so its memory is the model's.
    assert (row["value"], row["n"], row["method"]) == (147, 1, "psutil, sum over 3 processes")
    assert row["quality"] == "measured"


def test_memory_that_lacks_a_worker_is_not_given() -> None:
    maker = Maker()
    run = maker.run("fork", SECOND, warmup=True, repeat=0)
    maker.process(run, maker.pid(), "worker", worker=0)
    maker.memory(run, run["main_pid"], 10, 100)
    row = one_row(maker.tables(), "uss_bytes")
    assert (row["quality"], row["reason"]) == ("unavailable", "1 of 2 processes were not read")


@pytest.mark.parametrize(("warmup", "reason"), [(True, "memory of the processes was not read"), (False, None)])
def test_memory_that_nobody_read_is_unavailable(warmup: bool, reason: str | None) -> None:
    maker = Maker()
    maker.run("fork", SECOND, warmup=warmup)
    row = one_row(maker.tables(), "uss_bytes")
    assert (row["value"], row["quality"]) == (None, "unavailable")
    assert row["reason"] == (reason or "no warm-up run ended ok, where it is read")
