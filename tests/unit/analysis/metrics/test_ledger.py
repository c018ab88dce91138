"""The parts of the worker threads' time, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import ends, one_row
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables

PARTS = (
    "thread_on_cpu_ns",
    "thread_run_queue_ns",
    "thread_task_blocked_ns",
    "thread_idle_ns",
    "unattributed_ns",
)


def one_worker(task_ms: int, cpu_ms: int, queue_ms: int | None, gap_ms: int = 0, **values: Any) -> Tables:
    """A worker thread asked for at once, that starts after 10 ms, works task_ms from 20 ms on, and ends at 200 ms."""
    maker = Maker()
    run = maker.run("threads", 210 * MS, **values)
    main, begin = run["main_pid"], run["start_ns"]
    tid = main + 1
    maker.thread(run, main, tid, begin + 10 * MS, begin + 200 * MS, spawn_requested_ns=begin, worker=0)
    maker.span(run, main, tid, "task", begin + 20 * MS, task_ms * MS, item=0, cpu_ns=cpu_ms * MS)
    if queue_ms is not None:
        maker.counter(run, main, "run_queue_wait_ns", None, queue_ms * MS, tid=tid, scope="thread")
    if gap_ms:
        maker.counter(run, main, "reading_gap_ns", gap_ms * MS, None)
    return maker.tables()


def part(tables: Tables, name: str) -> Any:
    return one_row(tables, name, scope="run")


def test_parts_of_one_thread() -> None:
    tables = one_worker(150, 90, 20)
    assert part(tables, "thread_wall_ns")["value"] == 200 * MS
    assert part(tables, "thread_on_cpu_ns")["value"] == 90 * MS
    assert ends(part(tables, "thread_run_queue_ns")) == (0, 20 * MS, 20 * MS)
    assert ends(part(tables, "thread_task_blocked_ns")) == (40 * MS, 40 * MS, 60 * MS)
    assert part(tables, "thread_idle_ns")["value"] == 50 * MS
    assert part(tables, "unattributed_ns")["value"] == 0
    assert part(tables, "thread_task_blocked_ns")["reason"] == "GIL wait or steal"


def test_our_own_readings_are_outside_the_task() -> None:
    tables = one_worker(150, 90, 20, gap_ms=3)
    assert ends(part(tables, "thread_task_blocked_ns")) == (34 * MS, 37 * MS, 60 * MS)
    assert part(tables, "thread_idle_ns")["value"] == 53 * MS
    assert part(tables, "unattributed_ns")["value"] == 0


def test_no_more_is_taken_for_readings_than_there_was() -> None:
    tables = one_worker(150, 130, 19, gap_ms=3)
    assert ends(part(tables, "thread_task_blocked_ns")) == (0, 0, 20 * MS)
    assert part(tables, "thread_idle_ns")["value"] == 51 * MS


def test_what_blocks_is_named_for_work_that_waits() -> None:
    assert "I/O" in part(one_worker(150, 90, 20, kind="io"), "thread_task_blocked_ns")["reason"]


def test_more_cpu_than_task_is_left_over_and_not_hidden() -> None:
    tables = one_worker(150, 152, 0)
    assert part(tables, "thread_task_blocked_ns")["value"] == 0
    assert part(tables, "unattributed_ns")["value"] == -2 * MS


def test_run_queue_outside_tasks_does_not_eat_into_the_task() -> None:
    tables = one_worker(150, 140, 30)
    assert part(tables, "thread_run_queue_ns")["value"] == 10 * MS
    assert ends(part(tables, "thread_task_blocked_ns")) == (0, 0, 10 * MS)


def test_without_schedstat_the_blocked_part_is_an_upper_bound() -> None:
    tables = one_worker(150, 90, None)
    assert part(tables, "thread_run_queue_ns")["quality"] == "unavailable"
    assert ends(part(tables, "thread_task_blocked_ns")) == (0, 60 * MS, 60 * MS)


def test_serial_is_its_main_thread_over_the_whole_window() -> None:
    maker = Maker()
    run = maker.run("serial", 200 * MS)
    main, begin = run["main_pid"], run["start_ns"]
    maker.thread(run, main, main, begin - 50 * MS, begin + 900 * MS, role="main")
    maker.span(run, main, main, "task", begin, 150 * MS, item=0, cpu_ns=150 * MS)
    tables = maker.tables()
    assert part(tables, "thread_wall_ns")["value"] == 200 * MS
    assert part(tables, "thread_idle_ns")["value"] == 50 * MS


def test_a_worker_that_outlives_the_window_ends_with_it() -> None:
    tables = one_worker(150, 90, 20)
    tables.threads["end_ns"] = tables.threads["end_ns"] + 500 * MS
    assert part(tables, "thread_wall_ns")["value"] == 210 * MS


def test_a_thread_without_an_end_makes_the_run_unavailable() -> None:
    tables = one_worker(150, 90, 20)
    tables.threads["end_ns"] = tables.threads["end_ns"].where(tables.threads["end_ns"] < 0)
    assert part(tables, "thread_wall_ns")["quality"] == "unavailable"


@settings(max_examples=12, deadline=None)
@given(task=st.integers(0, 400), cpu=st.integers(0, 400), queue=st.integers(0, 400), gap=st.integers(0, 9))
def test_parts_add_up_to_the_whole(task: int, cpu: int, queue: int, gap: int) -> None:
    found = compute_all(Analysis(one_worker(task, cpu, queue, gap)), ["thread_wall_ns", *PARTS])
    for scope in ("thread", "run", "cell"):
        values = found[found["scope"] == scope].set_index("metric")["value"]
        assert sum(values[name] for name in PARTS) == pytest.approx(values["thread_wall_ns"])


def test_parts_of_a_cell_add_up_where_one_run_lacks_the_run_queue() -> None:
    maker = Maker()
    for repeat, (task_ms, queue_ms) in enumerate(((150, 20), (160, 20), (170, 20), (180, 20), (190, None)), 1):
        run = maker.run("threads", 210 * MS, repeat=repeat)
        begin, main, tid = run["start_ns"], run["main_pid"], run["main_pid"] + 1
        maker.thread(run, main, tid, begin, begin + 200 * MS, spawn_requested_ns=begin, worker=0)
        maker.span(run, main, tid, "task", begin, task_ms * MS, item=0, cpu_ns=90 * MS)
        if queue_ms is not None:
            maker.counter(run, main, "run_queue_wait_ns", None, queue_ms * MS, tid=tid, scope="thread")
    tables = maker.tables()
    rows = {name: one_row(tables, name, scope="cell") for name in (*PARTS, "thread_wall_ns")}
    assert rows["thread_run_queue_ns"]["quality"] == "unavailable"
    assert sum(rows[name]["value"] or 0 for name in PARTS) == rows["thread_wall_ns"]["value"]
