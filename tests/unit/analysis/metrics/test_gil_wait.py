"""The GIL-wait interval, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row
from tracekit.analysis.tables import Tables

TICKS = (2 + 2) * 10 * MS
"""What is added to a nonzero steal count of 2 workers: a tick per worker, one for main, one for the rounding."""


def two_threads(
    *,
    queue_ms: tuple[float | None, float | None] = (20, 30),
    steal_ms: tuple[float, float] | None = (0, 0),
    kind: str = "cpu",
    threads_seen: int = 3,
    gap_ms: float | None = None,
    **run_values: Any,
) -> Tables:
    """Two worker threads of one process, each in tasks for 1000 ms, on a CPU for 500 ms and 480 ms of it."""
    maker = Maker()
    run = maker.run("threads", 1_100 * MS, kind=kind, **run_values)
    main, begin = run["main_pid"], run["start_ns"]
    maker.thread(run, main, main, begin, begin + run["wall_ns"], role="main")
    for index, (cpu_ms, queue) in enumerate(zip((500, 480), queue_ms, strict=True)):
        tid = main + 1 + index
        maker.thread(run, main, tid, begin, begin + 1_000 * MS, worker=index, spawn_requested_ns=begin)
        for item, (share, dur_ms) in enumerate(((0.4, 400), (0.6, 600))):
            at = begin + item * 400 * MS
            maker.span(run, main, tid, "task", at, dur_ms * MS, item=item, cpu_ns=int(cpu_ms * share * MS))
        if queue is not None:
            # A worker thread is born after the first reading, so it has an end only.
            maker.counter(run, main, "run_queue_wait_ns", None, queue * MS, tid=tid, scope="thread")
    maker.counter(run, main, "threads", 1, threads_seen)
    if steal_ms is not None:
        maker.counter(run, main, "steal_ns", steal_ms[0] * MS, steal_ms[1] * MS, scope="machine")
    if gap_ms is not None:
        maker.counter(run, main, "reading_gap_ns", gap_ms * MS, None)
    return maker.tables()


def test_without_steal_the_interval_is_as_wide_as_the_run_queue() -> None:
    tables = two_threads()
    # residual 1000 - 500 and 1000 - 480, run queue 20 and 30.
    first, second = all_rows(tables, "gil_wait_ns", scope="thread")
    assert ends(first) == (480 * MS, 480 * MS, 500 * MS)
    assert ends(second) == (490 * MS, 490 * MS, 520 * MS)
    run = one_row(tables, "gil_wait_ns", scope="run")
    assert ends(run) == (970 * MS, 970 * MS, 1_020 * MS)
    assert (run["method"], run["quality"], run["n"]) == ("schedstat", "bound", 2)


def test_all_the_steal_may_have_hit_one_thread_but_only_once_the_run() -> None:
    tables = two_threads(steal_ms=(1_000, 1_100))
    first, _ = all_rows(tables, "gil_wait_ns", scope="thread")
    share = 100 * MS * 500 / 980
    assert first["lower"] == 480 * MS - 100 * MS - TICKS
    assert first["value"] == pytest.approx(480 * MS - share)
    assert first["upper"] == 500 * MS
    run = one_row(tables, "gil_wait_ns", scope="run")
    assert ends(run) == (970 * MS - 100 * MS - TICKS, 970 * MS - 100 * MS, 1_020 * MS)


def test_a_count_that_stands_still_may_hide_a_tick_unless_it_never_moved() -> None:
    moved_once = one_row(two_threads(steal_ms=(50, 50)), "gil_wait_ns", scope="run")
    never = one_row(two_threads(steal_ms=(0, 0)), "gil_wait_ns", scope="run")
    assert moved_once["lower"] == 970 * MS - TICKS
    assert never["lower"] == 970 * MS


def test_unread_steal_leaves_no_lower_end() -> None:
    run = one_row(two_threads(steal_ms=None), "gil_wait_ns", scope="run")
    assert ends(run) == (0, 970 * MS, 1_020 * MS)


def test_without_run_queue_only_the_residual_bounds_it() -> None:
    run = one_row(two_threads(queue_ms=(None, None), steal_ms=None), "gil_wait_ns", scope="run")
    assert ends(run) == (0, 1_020 * MS, 1_020 * MS)
    assert run["method"] == "portable"


def test_our_own_readings_are_no_wait() -> None:
    tables = two_threads(gap_ms=3)
    # 2 tasks per thread: 6 ms of readings at a guess, 12 ms at most; the upper end keeps them.
    first, second = all_rows(tables, "gil_wait_ns", scope="thread")
    assert ends(first) == (468 * MS, 474 * MS, 500 * MS)
    assert ends(second) == (478 * MS, 484 * MS, 520 * MS)
    assert ends(one_row(tables, "gil_wait_ns", scope="run")) == (946 * MS, 958 * MS, 1_020 * MS)


def test_many_tiny_tasks_that_wait_for_nothing_wait_for_nothing() -> None:
    maker = Maker()
    run = maker.run("threads", 200 * MS)
    main, begin = run["main_pid"], run["start_ns"]
    for worker in (0, 1):
        tid = main + 1 + worker
        for item in range(500):
            # 1 µs of work, 2 µs of readings around it; what the median gap was is 1.9 µs.
            maker.span(run, main, tid, "task", begin + item * 10_000, 3_000, item=item, cpu_ns=1_000)
        maker.thread(run, main, tid, begin, begin + 100 * MS, worker=worker, spawn_requested_ns=begin)
        maker.counter(run, main, "run_queue_wait_ns", None, 0, tid=tid, scope="thread")
    maker.thread(run, main, main, begin, begin + 200 * MS, role="main")
    maker.counter(run, main, "threads", 1, 3)
    maker.counter(run, main, "steal_ns", 0, 0, scope="machine")
    maker.counter(run, main, "reading_gap_ns", 1_900, None)
    row = one_row(maker.tables(), "gil_wait_ns", scope="run")
    assert ends(row) == (0, pytest.approx(100 * 1_000), 2 * MS)


def test_readings_are_taken_off_where_nothing_else_can_be() -> None:
    row = one_row(two_threads(gap_ms=3, queue_ms=(None, None), steal_ms=None), "gil_wait_ns", scope="run")
    assert ends(row) == (0, 1_008 * MS, 1_020 * MS)
    row = one_row(two_threads(gap_ms=3, steal_ms=None), "gil_wait_ns", scope="run")
    assert ends(row) == (0, 958 * MS, 1_020 * MS)
    # More of them than there is residual: 0, not less.
    assert ends(one_row(two_threads(gap_ms=1_000), "gil_wait_ns", scope="run")) == (0, 0, 1_020 * MS)


def test_the_share_is_of_the_same_run() -> None:
    """Five runs that wait half the time, one three times as long: 50 %, where a median over a mean gives 36 %."""
    maker = Maker()
    for repeat, times in enumerate((1, 1, 1, 1, 3), 1):
        run = maker.run("threads", times * 200 * MS, repeat=repeat)
        main, begin = run["main_pid"], run["start_ns"]
        maker.thread(run, main, main, begin, begin + run["wall_ns"], role="main")
        for worker in (0, 1):
            tid, dur = main + 1 + worker, times * 200 * MS
            maker.thread(run, main, tid, begin, begin + dur, worker=worker, spawn_requested_ns=begin)
            maker.span(run, main, tid, "task", begin, dur, item=worker, cpu_ns=dur // 2)
            maker.counter(run, main, "run_queue_wait_ns", None, 0, tid=tid, scope="thread")
        maker.counter(run, main, "threads", 1, 3)
        maker.counter(run, main, "steal_ns", 0, 0, scope="machine")
    tables = maker.tables()
    for row in all_rows(tables, "gil_wait_share"):
        assert (*ends(row), row["quality"], row["method"]) == (0.5, 0.5, 0.5, "bound", "schedstat")
    pooled, whole = (one_row(tables, name, scope="cell")["value"] for name in ("gil_wait_ns", "thread_wall_ns"))
    assert pooled / whole == pytest.approx(1 / 2.8)


def test_the_share_has_the_ends_of_the_wait() -> None:
    run = one_row(two_threads(), "gil_wait_share", scope="run")
    # Two threads live 1000 ms each.
    assert ends(run) == (0.485, 0.485, 0.51)
    assert one_row(two_threads(kind="io"), "gil_wait_share", scope="run")["reason"].endswith("block by themselves")
    off = one_row(two_threads(gil_enabled=False), "gil_wait_share", scope="run")
    assert (off["value"], off["quality"], off["method"]) == (0, "measured", "no-gil")


def test_the_share_of_an_unknown_life_is_unavailable() -> None:
    tables = two_threads()
    tables.threads["end_ns"] = tables.threads["end_ns"].where(tables.threads["end_ns"] < 0)
    row = one_row(tables, "gil_wait_share", scope="run")
    assert (row["quality"], row["reason"]) == ("unavailable", "the time of the worker threads is not known")


@pytest.mark.parametrize("kind", ["io", "mixed", "ipc", "fault", "memory", ""])
def test_tasks_that_block_by_themselves_prove_no_wait(kind: str) -> None:
    run = one_row(two_threads(kind=kind), "gil_wait_ns", scope="run")
    assert ends(run) == (0, 0, 1_020 * MS)
    assert "block by themselves" in run["reason"]


def test_threads_of_a_library_may_be_what_is_waited_for() -> None:
    run = one_row(two_threads(threads_seen=4, kind="native"), "gil_wait_ns", scope="run")
    assert ends(run) == (0, 0, 1_020 * MS)
    assert "not the model's" in run["reason"]


def test_gil_off_is_zero_and_measured() -> None:
    for row in all_rows(two_threads(gil_enabled=False), "gil_wait_ns"):
        assert (*ends(row), row["quality"], row["method"]) in (
            (0, 0, 0, "measured", "no-gil"),
            (None, 0, None, "measured", "no-gil"),  # a cell of one run has no interval
        )


def test_a_process_of_one_thread_waits_for_nobody() -> None:
    maker = Maker()
    run = maker.run("fork", 1_100 * MS)
    pid = maker.pid()
    maker.process(run, pid, "worker", worker=0)
    maker.thread(run, pid, pid, run["start_ns"], run["start_ns"] + 1_000 * MS)
    maker.span(run, pid, pid, "task", run["start_ns"], 1_000 * MS, item=0, cpu_ns=400 * MS)
    maker.counter(run, pid, "threads", 1, 1)
    row = one_row(maker.tables(), "gil_wait_ns", scope="run")
    assert (*ends(row), row["quality"], row["method"]) == (0, 0, 0, "bound", "single-thread")


def test_coroutines_on_one_thread_prove_no_wait() -> None:
    maker = Maker()
    run = maker.run("asyncio", 1_100 * MS)
    main = run["main_pid"]
    for item in range(2):
        # Each lasts 600 ms and they overlap by 200 ms, so together they cover 1000 ms.
        at = run["start_ns"] + item * 400 * MS
        maker.span(run, main, main, "task", at, 600 * MS, item=item, cpu_ns=300 * MS)
    maker.counter(run, main, "threads", 1, 2)
    maker.thread(run, main, main, run["start_ns"], run["start_ns"] + 1_100 * MS, role="main")
    row = one_row(maker.tables(), "gil_wait_ns", scope="run")
    assert ends(row) == (0, 0, 1_000 * MS)


def test_a_run_without_tasks_is_unavailable_not_zero() -> None:
    maker = Maker()
    maker.run("threads", 1_000 * MS)
    row = one_row(maker.tables(), "gil_wait_ns", scope="run")
    assert (row["value"], row["quality"]) == (None, "unavailable")
    assert row["reason"] == "no task was recorded in this run"


def test_unread_task_cpu_is_unavailable_not_zero() -> None:
    tables = two_threads()
    tables.spans.loc[tables.spans["name"] == "task", "cpu_ns"] = None
    assert {row["quality"] for row in all_rows(tables, "gil_wait_ns")} == {"unavailable"}


@settings(max_examples=30, deadline=None)
@given(
    wall=st.integers(0, 10**12),
    cpu_share=st.floats(0, 1.2),
    queue=st.integers(0, 10**12),
    steal=st.integers(0, 10**12),
    gil=st.integers(0, 10**12),
    gap=st.integers(0, 10**10),
    read_share=st.floats(0, 2),
)
def test_the_truth_is_always_inside(
    wall: int, cpu_share: float, queue: int, steal: int, gil: int, gap: int, read_share: float
) -> None:
    """Build a task from a known GIL wait, run-queue wait, steal and readings; the interval must contain that GIL
    wait.
    """
    cpu, read = int(wall * cpu_share), int(gap * read_share)
    maker = Maker()
    run = maker.run("threads", cpu + queue + steal + gil + read)
    main = run["main_pid"]
    maker.span(run, main, main + 1, "task", run["start_ns"], run["wall_ns"], item=0, cpu_ns=cpu)
    maker.counter(run, main, "reading_gap_ns", gap, None)
    maker.thread(run, main, main + 1, run["start_ns"], run["start_ns"] + 1)
    maker.thread(run, main, main, run["start_ns"], run["start_ns"] + 1, role="main")
    maker.counter(run, main, "threads", 1, 2)
    maker.counter(run, main, "run_queue_wait_ns", None, queue, tid=main + 1, scope="thread")
    # The kernel shows whole ticks only.
    seen = steal // (10 * MS) * 10 * MS
    maker.counter(run, main, "steal_ns", 10 * MS, 10 * MS + seen, scope="machine")
    rows = [row for row in all_rows(maker.tables(), "gil_wait_ns") if row["scope"] != "cell"]
    assert len(rows) == 2
    for row in rows:
        assert row["lower"] <= gil <= row["upper"]
        assert row["lower"] <= row["value"] <= row["upper"]
