"""The ledger where waits or scheduling were seen, computed by hand; and that it always closes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import analyse, ends, one_row
from tests.unit.analysis.metrics.watched_program import PART_NAMES, Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables, records

THREADING = {"function": "Condition.wait", "file": "/usr/lib/python3.13/threading.py", "line": 359}
OURS = {"function": "work", "file": "/app/app.py", "line": 3}


def parts(tables: Tables, **where: Any) -> dict[str, float]:
    """Every part that is not 0, in ms, of the one place."""
    where = where or {"scope": "run"}
    rows = records(compute_all(analyse(tables), ["thread_wall_ns", *PART_NAMES]))
    rows = [row for row in rows if all(row[key] == value for key, value in where.items())]
    assert len({row["metric"] for row in rows}) == len(rows)
    return {row["metric"]: row["value"] / MS for row in rows if row["value"]}


def test_a_program_with_the_probe() -> None:
    program = Program()
    program.thread(7, cpu_ms=30, run_queue_wait_ns=5 * MS)
    program.wait(7, "gil", 0, 10, **OURS)
    program.wait(7, "gil-switch", 10, 12, **OURS)
    program.wait(7, "lock", 12, 20, **OURS)
    program.wait(7, "lock", 20, 33, **THREADING)
    program.wait(7, "io-read", 33, 36, **OURS)
    program.wait(7, "io-write", 36, 37, **OURS)
    program.wait(7, "poll", 37, 41, **OURS)
    program.wait(7, "sleep", 41, 47, **OURS)
    program.wait(7, "child-wait", 47, 55, **OURS)
    program.steal(4)
    # 100 - 30 CPU - 55 waits = 15: 5 run queue, 4 steal, 6 unattributed.
    assert parts(program.tables()) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 30,
        "thread_gil_wait_ns": 12,
        "thread_lock_wait_ns": 8,
        "thread_idle_ns": 13,
        "thread_io_wait_ns": 4,
        "thread_poll_ns": 4,
        "thread_sleep_ns": 6,
        "thread_child_wait_ns": 8,
        "thread_run_queue_ns": 5,
        "thread_steal_ns": 4,
        "unattributed_ns": 6,
    }
    assert "by function" in one_row(program.tables(), "thread_idle_ns", scope="run")["reason"]
    # The 15 ms are run queue or steal: at least 11 of them were not steal, but no more than the 5 counted were queue.
    assert ends(one_row(program.tables(), "thread_run_queue_ns", scope="run")) == (5 * MS, 5 * MS, 5 * MS)
    assert one_row(program.tables(), "thread_task_blocked_ns", scope="run")["quality"] == "unavailable"


def test_a_thread_that_was_killed_may_have_computed_since_its_last_reading() -> None:
    """It lived 100 ms, waited 25 and had computed 30 when its clock was last read, 40 ms before its end. Steal is what
    the 5 ms before that lack, not what the 40 ms after it may be."""
    program = Program()
    program.thread(7, cpu_ms=30, cpu_read_ns=program.at(60), run_queue_wait_ns=0)
    program.thread(8, cpu_ms=100)
    program.wait(7, "sleep", 0, 25, **OURS)
    program.steal(50)
    tables = program.tables()
    where = {"scope": "thread", "tid": 7}
    assert parts(tables, **where) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 30,
        "thread_sleep_ns": 25,
        "thread_steal_ns": 5,
        "unattributed_ns": 40,
    }
    on_cpu, rest = (one_row(tables, name, **where) for name in ("thread_on_cpu_ns", "unattributed_ns"))
    assert (*ends(on_cpu), on_cpu["quality"]) == (30 * MS, 30 * MS, 70 * MS, "bound")
    assert (*ends(rest), rest["quality"]) == (0, 40 * MS, 40 * MS, "bound")
    # Its run-queue wait may be read half a second before its CPU time.
    assert ends(one_row(tables, "thread_run_queue_ns", **where)) == (0, 0, 45 * MS)
    other = one_row(tables, "thread_on_cpu_ns", scope="thread", tid=8)
    assert (other["value"], other["quality"]) == (100 * MS, "measured")
    assert one_row(tables, "thread_on_cpu_ns", scope="run")["upper"] == 170 * MS


def test_waits_that_overlap_count_once_for_the_one_that_began_first() -> None:
    program = Program()
    program.thread(7, cpu_ms=20)
    program.wait(7, "poll", 10, 50, **OURS)
    program.wait(7, "io-read", 20, 30, **OURS)
    program.wait(7, "lock", 45, 60, **OURS)
    found = parts(program.tables())
    assert (found["thread_poll_ns"], found.get("thread_io_wait_ns"), found["thread_lock_wait_ns"]) == (40, None, 10)
    # The plain sums keep all of each.
    assert one_row(program.tables(), "io_wait_ns", scope="run")["value"] == 10 * MS
    assert one_row(program.tables(), "lock_wait_ns", scope="run")["value"] == 15 * MS


def test_cpu_time_inside_a_read_is_on_cpu_and_the_gil_gives_way_last() -> None:
    program = Program()
    program.thread(7, cpu_ms=70)
    program.wait(7, "io-read", 0, 20, **OURS)
    program.wait(7, "lock", 20, 30, **OURS)
    program.wait(7, "gil", 30, 55, **OURS)
    # 55 ms of waits have 30 ms of room: first the 20 of I/O go, then 5 of the lock.
    assert parts(program.tables()) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 70,
        "thread_gil_wait_ns": 25,
        "thread_lock_wait_ns": 5,
    }


def test_more_cpu_time_than_life_is_negative_and_not_hidden() -> None:
    program = Program()
    program.thread(7, cpu_ms=103)
    program.wait(7, "gil", 30, 55, **OURS)
    assert parts(program.tables())["unattributed_ns"] == -3


def test_steal_is_shared_and_never_more_than_the_machine_lost() -> None:
    program = Program()
    program.thread(7, cpu_ms=40)
    program.thread(8, cpu_ms=80)
    program.steal(20)
    tables = program.tables()
    by_thread = [parts(tables, scope="thread", tid=tid) for tid in (7, 8)]
    assert [found["thread_steal_ns"] for found in by_thread] == [15, 5]
    assert [found["unattributed_ns"] for found in by_thread] == [45, 15]
    assert parts(tables)["thread_steal_ns"] == 20


def test_idle_is_said_by_function_and_a_contended_lock_of_the_users_own_is_not() -> None:
    program = Program()
    program.thread(7)
    program.wait(7, "lock", 0, 40, **THREADING)
    program.wait(7, "lock", 40, 60, function="transfer", file="/app/threading_bank.py")
    program.wait(7, "lock", 60, 75)
    found = parts(program.tables())
    assert (found["thread_idle_ns"], found["thread_lock_wait_ns"]) == (40, 35)


@pytest.mark.parametrize("kernel", [False, True])
def test_an_idle_native_thread_waits_for_work(kernel: bool) -> None:
    """A pool of BLAS or OpenMP: in a lock, a poll, or a futex that nobody sees. It is in no sum of Python threads;
    the main thread of a process without Python has no ledger.
    """
    program = Program(capture="waits+kernel" if kernel else "waits")
    program.thread(7, cpu_ms=100)
    program.thread(8, cpu_ms=20, role="native", run_queue_wait_ns=10 * MS)
    program.wait(8, "lock", 20, 40)
    program.wait(8, "poll", 40, 50)
    program.wait(8, "io-read", 50, 55)
    program.thread(program.pid, cpu_ms=100, role="native")
    if kernel:
        program.scheduled(7, ("running", 100))
        program.scheduled(8, ("running", 20), ("sleeping", 35), ("runnable", 10), ("sleeping", 35))
    tables = program.tables()
    assert parts(tables, scope="thread", tid=8) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 20,
        "thread_io_wait_ns": 5,
        "thread_run_queue_ns": 10,
        "thread_idle_ns": 65,
    }
    assert parts(tables)["thread_wall_ns"] == 100
    rows = records(compute_all(Analysis(tables), ["thread_wall_ns"]))
    assert {row["tid"] for row in rows if row["scope"] == "thread"} == {7, 8}


def test_a_program_that_nobody_watched_has_one_blocked_part() -> None:
    program = Program(capture="viztracer")
    program.thread(7, cpu_ms=30, run_queue_wait_ns=5 * MS)
    tables = program.tables()
    row = one_row(tables, "thread_task_blocked_ns", scope="cell")
    assert (*ends(row), row["method"]) == (0, 65 * MS, 70 * MS, "schedstat")
    assert one_row(tables, "thread_gil_wait_ns", scope="run")["quality"] == "unavailable"


def suite_run(**values: Any) -> tuple[Maker, dict[str, Any], int]:
    """A run of two threads' model with one worker: asked for at 0, a task from 20 to 80 ms with 30 ms of CPU time."""
    maker = Maker()
    run = maker.run("threads", 100 * MS, capture="waits", **values)
    main, begin = run["main_pid"], run["start_ns"]
    maker.thread(run, main, main, begin, begin + 100 * MS, role="main", cpu_ns=900 * MS)
    maker.thread(run, main, main + 1, begin + 10 * MS, begin + 95 * MS, spawn_requested_ns=begin, worker=0)
    maker.span(run, main, main + 1, "task", begin + 20 * MS, 60 * MS, item=0, cpu_ns=30 * MS)
    maker.counter(run, main, "run_queue_wait_ns", None, 4 * MS, tid=main + 1, scope="thread")
    maker.counter(run, main, "cpu_ns", 400 * MS, 410 * MS, tid=main, scope="thread")
    maker.wait(run, main, main + 1, "gil", begin + 15 * MS, 10 * MS)
    maker.wait(run, main, main + 1, "lock", begin + 30 * MS, 6 * MS)
    maker.wait(run, main, main + 1, "lock", begin + 75 * MS, 20 * MS)
    maker.wait(run, main, main, "lock", begin + 5 * MS, 85 * MS)
    maker.wait(run, main, main, "gil", begin + 90 * MS, 2 * MS)
    return maker, run, main


def test_a_workers_waits_outside_its_tasks_are_idle_but_for_the_gil() -> None:
    maker, _, main = suite_run()
    tables = maker.tables()
    # Task 60: 30 CPU, 5 GIL, 6 + 5 lock, 4 run queue, 10 left. Outside 35: 5 GIL, the rest idle.
    expected = {
        "thread_wall_ns": 95,
        "thread_on_cpu_ns": 30,
        "thread_gil_wait_ns": 10,
        "thread_lock_wait_ns": 11,
        "thread_run_queue_ns": 4,
        "thread_idle_ns": 30,
        "unattributed_ns": 10,
    }
    assert parts(tables) == expected
    assert parts(tables, scope="thread", tid=main + 1) == expected
    assert parts(tables, scope="cell") == expected
    assert "outside tasks" in one_row(tables, "thread_idle_ns", scope="cell")["reason"]


def test_the_main_thread_has_a_ledger_that_is_in_no_sum() -> None:
    maker, _, main = suite_run()
    # Its CPU time is that of the run window, not that of its life.
    assert parts(maker.tables(), scope="thread", tid=main) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 10,
        "thread_gil_wait_ns": 2,
        "thread_idle_ns": 85,
        "unattributed_ns": 3,
    }


def test_a_worker_of_unknown_cpu_time_leaves_the_run_without_a_ledger() -> None:
    maker, _, _ = suite_run()
    tables = maker.tables()
    tables.spans["cpu_ns"] = tables.spans["cpu_ns"].where(tables.spans["name"] != "task")
    for name in PART_NAMES:
        assert one_row(tables, name, scope="run")["quality"] == "unavailable"


def test_the_kernels_record_cuts_exactly() -> None:
    program = Program(capture="waits+kernel")
    program.thread(7, cpu_ms=38)
    program.scheduled(7, ("running", 10), ("sleeping", 5), ("running", 1), ("sleeping", 4), ("runnable", 3))
    program.scheduled(7, ("running", 20), ("runnable", 7), ("disk", 6), ("running", 10), ("sleeping", 9), start_ms=23)
    # A GIL wait from 10: two blocks, a wake-up of 1 ms to ask, 3 ms of queueing after the last: all of it but the 1.
    program.wait(7, "gil", 10, 23, method="kernel-uprobe")
    program.wait(7, "gil", 10, 22, **OURS)
    program.wait(7, "sleep", 66, 74, **OURS)
    program.steal(10)
    assert parts(program.tables()) == {
        "thread_wall_ns": 100,
        "thread_on_cpu_ns": 38,
        "thread_steal_ns": 3,
        "thread_gil_wait_ns": 12,
        "thread_run_queue_ns": 7,
        "thread_io_wait_ns": 6,
        "thread_sleep_ns": 8,
        # 1 ms blocked after the sleep, and the 25 ms that the record does not have.
        "unattributed_ns": 26,
    }


def test_without_the_probe_the_kernel_cannot_name_what_blocks() -> None:
    program = Program(capture="kernel")
    program.thread(7, cpu_ms=40)
    program.scheduled(7, ("running", 40), ("sleeping", 30), ("disk", 10), ("runnable", 20))
    program.wait(7, "gil", 40, 55, method="kernel-uprobe")
    tables = program.tables()
    row = one_row(tables, "thread_task_blocked_ns", scope="run")
    assert (row["value"], row["quality"], row["method"]) == (25 * MS, "measured", "kernel-sched")
    assert one_row(tables, "thread_gil_wait_ns", scope="run")["value"] == 15 * MS
    assert one_row(tables, "thread_lock_wait_ns", scope="run")["quality"] == "unavailable"
    assert one_row(tables, "unattributed_ns", scope="run")["value"] == 0
    # A program's idleness is known by its functions; of a workload, by its tasks.
    assert one_row(tables, "thread_idle_ns", scope="run")["quality"] == "unavailable"


BY_FUNCTION = ("lock_wait", "io_wait", "poll", "sleep", "child_wait", "idle")


@pytest.mark.parametrize("capture", ["waits", "waits+kernel"])
@pytest.mark.parametrize("scope", ["run", "process", "thread", "cell"])
def test_without_functions_idleness_and_other_waits_are_one_part(capture: str, scope: str) -> None:
    program = Program(capture=capture)
    program.thread(7, cpu_ms=30)
    program.wait(7, "gil", 0, 10, method="waits-probe" if capture == "waits" else "kernel-uprobe")
    program.wait(7, "lock", 10, 33)
    program.wait(7, "io-read", 33, 36)
    program.wait(7, "sleep", 36, 40)
    if capture != "waits":
        program.scheduled(7, ("sleeping", 40), ("running", 30), ("sleeping", 30))
    program.hide_functions("its version is not known")
    tables = program.tables()
    blocked = one_row(tables, "thread_task_blocked_ns", scope=scope)
    assert (blocked["value"], blocked["quality"]) == (30 * MS, "measured")
    assert "functions are not known" in blocked["reason"]
    for name in BY_FUNCTION:
        row = one_row(tables, f"thread_{name}_ns", scope=scope)
        assert (row["value"], row["quality"]) == (None, "unavailable")
        assert row["reason"].endswith("could not be read: its version is not known")
    assert one_row(tables, "thread_gil_wait_ns", scope=scope)["value"] == 10 * MS
    # The sums of the waits by kind have the idle ones in them anyway.
    assert one_row(tables, "lock_wait_ns", scope=scope)["value"] == 23 * MS
    assert sum(parts(tables).values()) == 2 * 100


def test_of_a_suite_idleness_is_known_without_functions() -> None:
    maker = suite_run()[0]
    before = parts(maker.tables())
    assert before["thread_idle_ns"] > 0
    for row in maker.rows["processes"]:
        row["no_functions"] = "its version is not known"
    assert parts(maker.tables()) == before


WAITS = st.lists(
    st.tuples(
        st.sampled_from(["gil", "gil-switch", "lock", "io-read", "poll", "sleep", "child-wait"]),
        st.integers(-5, 104),
        st.integers(0, 60),
        st.booleans(),
        st.sampled_from([7, 8]),
    ),
    max_size=12,
)
SCHED = st.lists(
    st.tuples(st.sampled_from(["running", "runnable", "sleeping", "disk"]), st.integers(0, 30)), max_size=8
)


@settings(max_examples=20, deadline=None)
@given(
    waits=WAITS,
    sched=SCHED,
    cpu=st.integers(0, 120),
    queue=st.none() | st.integers(0, 80),
    steal=st.none() | st.integers(0, 80),
    capture=st.sampled_from(["waits", "kernel", "waits+kernel", "py-spy"]),
    method=st.sampled_from(["waits-probe", "kernel-uprobe"]),
    tasks=st.none() | st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), min_size=1, max_size=3),
)
def test_the_parts_add_up_to_the_whole_exactly(
    waits: list[tuple[str, int, int, bool, int]],
    sched: list[tuple[str, int]],
    cpu: int,
    queue: int | None,
    steal: int | None,
    capture: str,
    method: str,
    tasks: list[tuple[int, int]] | None,
) -> None:
    program = Program(capture=capture, **({} if tasks is None else {"model": "threads", "kind": "cpu"}))
    for tid in (7, 8):
        role = "worker" if tasks is not None and tid == 7 else "other"
        queued = None if queue is None else queue * MS
        program.thread(tid, cpu, end_ms=97, role=role, run_queue_wait_ns=queued)
        if capture.endswith("kernel"):
            program.scheduled(tid, *sched)
    for start, length in tasks or []:
        program.maker.span(
            program.run, program.pid, 7, "task", program.at(start), length * MS, item=start, cpu_ns=length * MS // 2
        )
    for kind, start, length, idle, tid in waits:
        site = THREADING if idle else OURS
        program.wait(tid, kind, start, start + length, method=method if kind == "gil" else "waits-probe", **site)
    if steal is not None:
        program.steal(steal)
    found = compute_all(Analysis(program.tables()), ["thread_wall_ns", *PART_NAMES])
    found = found[found["quality"] != "unavailable"]
    for _, place in found.groupby(["scope", "run_id", "pid", "tid"], dropna=False):
        values = place.set_index("metric")["value"]
        assert not values.index.duplicated().any()
        assert values.drop("thread_wall_ns").sum() == values["thread_wall_ns"]
        measured = place[~place["metric"].isin(["unattributed_ns"])]
        assert (measured["value"] >= 0).all()
        assert ((measured["lower"] <= measured["value"]) | measured["lower"].isna()).all()


@pytest.mark.parametrize("shift", [2**60, -(10**11)])
def test_only_differences_of_stamps_matter(shift: int) -> None:
    maker, _, _ = suite_run()
    tables = maker.tables()
    before = compute_all(Analysis(tables), ["thread_wall_ns", *PART_NAMES, "gil_wait_ns"])
    for name in ("runs", "threads", "spans", "waits", "counters"):
        frame = tables.table(name)
        for column in ("start_ns", "end_ns", "ts_ns", "spawn_requested_ns"):
            if column in frame:
                frame[column] = frame[column] + shift
    assert compute_all(Analysis(tables), ["thread_wall_ns", *PART_NAMES, "gil_wait_ns"]).equals(before)
