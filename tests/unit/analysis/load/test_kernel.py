"""A kernel trace to rows: the run's tree, and the states of its threads, with known answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analysis.load import made_kernel as made
from tests.unit.analysis.load.loaded_kernel import CHILD, IDLE, MAIN, RUN, WORKER, load, main_and_worker, states
from tests.unit.analysis.load.made_kernel import DISK, PREEMPTED, SLEEPING, START, THREAD
from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.kernel.rows import add_kernel, add_kernel_lifetimes
from tracekit.analysis.load.lifetimes import ProcessLifetimes
from tracekit.bundle.store import Bundle


def test_a_thread_is_always_in_one_state(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.born(10, MAIN, START),
            made.switch(15, IDLE, 0, MAIN),
            made.switch(40, MAIN, SLEEPING, IDLE),
            made.wakeup(100, MAIN),
            made.switch(130, MAIN, DISK, IDLE),
            made.wakeup(190, MAIN),
            made.ended(300, MAIN),
        ],
        [made.switch(110, IDLE, 0, MAIN), made.switch(200, IDLE, 0, MAIN), made.switch(260, MAIN, PREEMPTED, 7)],
    )
    assert states(loaded) == [
        (MAIN, "runnable", None, 10, 5),
        (MAIN, "running", 0, 15, 25),
        (MAIN, "sleeping", None, 40, 60),
        (MAIN, "runnable", None, 100, 10),
        (MAIN, "running", 1, 110, 20),
        (MAIN, "disk", None, 130, 60),
        (MAIN, "runnable", None, 190, 10),
        (MAIN, "running", 1, 200, 60),
        (MAIN, "runnable", None, 260, 40),
    ]
    assert loaded.rows("notices", "code") == []
    (main,) = loaded.told
    (thread,) = main.threads
    assert (thread["start_ns"], thread["end_ns"]) == (10, 300)
    assert thread["cpu_ns"] == 25 + 20 + 60
    assert thread["run_queue_wait_ns"] == 5 + 10 + 10 + 40
    assert (thread["voluntary_switches"], thread["involuntary_switches"]) == (2, 1)


def test_a_wake_up_of_a_thread_that_is_not_asleep_changes_nothing(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.born(10, MAIN, START),
            made.wakeup(12, MAIN),
            made.switch(15, IDLE, 0, MAIN),
            made.wakeup(20, MAIN),
            made.switch(30, MAIN, 0, IDLE),
            made.wakeup(35, MAIN),
            made.switch(40, IDLE, 0, MAIN),
            made.ended(50, MAIN),
        ],
    )
    assert [(state, start, dur) for _, state, _, start, dur in states(loaded)] == [
        ("runnable", 10, 5),
        ("running", 15, 15),
        ("runnable", 30, 10),
        ("running", 40, 10),
    ]


def test_a_switch_that_must_have_been_and_is_not_there_is_told_from_the_others(tmp_path: Path) -> None:
    """Idle CPUs of some virtual machines record nothing when they wake up."""
    loaded = load(
        tmp_path,
        main_and_worker(
            made.switch(30, IDLE, 0, MAIN),
            made.switch(50, MAIN, SLEEPING, IDLE),
            made.wakeup(80, MAIN),
            # Who led CPU 0 to MAIN again?
            made.switch(120, MAIN, PREEMPTED, 7),
            made.switch(130, 7, SLEEPING, IDLE),
            # Preempted, never asleep: it came back when CPU 0 had nothing else to do.
            made.switch(200, MAIN, SLEEPING, IDLE),
        ),
    )
    assert [row[1:] for row in states(loaded) if row[0] == MAIN] == [
        ("runnable", None, 10, 20),
        ("running", 0, 30, 20),
        ("sleeping", None, 50, 30),
        ("running", 0, 80, 40),
        ("runnable", None, 120, 10),
        ("running", 0, 130, 70),
        ("sleeping", None, 200, 9_800),
    ]


def test_each_sleep_is_seen_where_neither_wake_up_nor_return_is(tmp_path: Path) -> None:
    """It was woken and came back unseen; how long it slept nobody knows, but that it did."""
    loaded = load(
        tmp_path,
        main_and_worker(
            made.switch(30, IDLE, 0, MAIN),
            *(made.switch(at, MAIN, SLEEPING, IDLE) for at in (50, 60, 70)),
        ),
    )
    assert [row[1:] for row in states(loaded) if row[0] == MAIN] == [
        ("runnable", None, 10, 20),
        ("running", 0, 30, 20),
        ("sleeping", None, 50, 1),
        ("running", 0, 51, 9),
        ("sleeping", None, 60, 1),
        ("running", 0, 61, 9),
        ("sleeping", None, 70, 9_930),
    ]
    assert [thread["voluntary_switches"] for thread in loaded.told[0].threads if thread["tid"] == MAIN] == [3]
    [(code, text)] = loaded.rows("notices", "code", "text")
    assert code == "kernel-unrecorded"
    assert "did not record 2 of 3 switches" in text


def test_the_start_of_a_wake_up_tells_of_a_sleep_whose_rest_is_not_recorded(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            made.switch(30, IDLE, 0, MAIN),
            made.switch(50, MAIN, SLEEPING, IDLE),
            made.waking(54, MAIN),
            made.switch(60, MAIN, SLEEPING, IDLE),
            # Begun before the sleep: what counts is when it was in a run queue.
            made.switch(68, IDLE, 0, MAIN),
            made.waking(70, MAIN),
            made.switch(71, MAIN, SLEEPING, IDLE),
            made.wakeup(72, MAIN),
            made.switch(75, IDLE, 0, MAIN),
        ),
    )
    assert [row[1:] for row in states(loaded) if row[0] == MAIN] == [
        ("runnable", None, 10, 20),
        ("running", 0, 30, 20),
        ("sleeping", None, 50, 4),
        ("running", 0, 54, 6),
        ("sleeping", None, 60, 8),
        ("running", 0, 68, 3),
        ("sleeping", None, 71, 1),
        ("runnable", None, 72, 3),
        ("running", 0, 75, 9_925),
    ]


def test_a_trace_of_format_1_has_no_starts_of_wake_ups(tmp_path: Path) -> None:
    events = main_and_worker(
        made.switch(30, IDLE, 0, MAIN), made.switch(50, MAIN, SLEEPING, IDLE), made.wakeup(54, MAIN)
    )
    old = {name: text for name, text in made.meta()["events"].items() if name != "sched/sched_waking"}
    loaded = load(tmp_path, events, format=1, events=old)
    assert ("sleeping", None, 50, 4) in [row[1:] for row in states(loaded)]


def test_who_goes_to_sleep_has_left_a_cpu_also_if_nobody_saw_it_come(tmp_path: Path) -> None:
    """Of a CPU's first switch nobody knows who was there before."""
    loaded = load(tmp_path, [made.born(10, MAIN, START), made.switch(40, MAIN, SLEEPING, IDLE), made.ended(90, MAIN)])
    assert [row[1:] for row in states(loaded)] == [("runnable", None, 10, 30), ("sleeping", None, 40, 50)]
    (main,) = loaded.told
    assert main.threads[0]["voluntary_switches"] == 1


def test_nobody_outside_the_run_is_in_the_tables(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.switch(1, IDLE, 0, START),
            made.born(2, 60, START, THREAD),
            made.born(3, 61, 60),
            made.switch(5, 61, SLEEPING, 62),
            made.born(10, MAIN, START),
            made.switch(15, 61, PREEMPTED, MAIN),
            made.switch(20, MAIN, SLEEPING, 61),
            made.born(22, 63, 62),
            made.ended(30, MAIN),
        ],
    )
    assert {row[0] for row in states(loaded)} == {MAIN}
    assert [facts.process["pid"] for facts in loaded.told] == [MAIN]


def test_threads_and_processes_are_told_apart_and_have_their_parents(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.born(10, MAIN, START),
            made.executed(12, MAIN, b"/usr/bin/python3"),
            made.born(20, WORKER, MAIN, THREAD),
            # A fork from a thread that is not the first.
            made.born(30, CHILD, WORKER),
            made.born(31, 120, CHILD),
            made.executed(40, 120, b"/bin/true"),
            made.ended(50, 120, b"true"),
            made.ended(55, CHILD),
            made.ended(60, MAIN),
            made.ended(70, WORKER, b"worker"),
        ],
    )
    wanted = {
        MAIN: (made.TRACEKIT, 12, 70, "/usr/bin/python3", [MAIN, WORKER]),
        CHILD: (MAIN, None, 55, "/usr/bin/python3", [CHILD]),
        120: (CHILD, 40, 50, "/bin/true", [120]),
    }
    found = {
        facts.process["pid"]: (
            facts.process["ppid"],
            facts.process["exec_ns"],
            facts.process["exit_ns"],
            facts.process["executable"],
            [row["tid"] for row in facts.threads],
        )
        for facts in loaded.told
    }
    assert found == wanted


def test_an_id_that_comes_round_again_is_another_thread(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.born(10, MAIN, START),
            made.born(20, CHILD, MAIN),
            made.switch(22, IDLE, 0, CHILD),
            made.ended(30, CHILD),
            # The last switch of one that has ended, and somebody else's use of the id meanwhile.
            made.switch(31, CHILD, 0x80, IDLE),
            made.switch(40, IDLE, 0, CHILD),
            made.born(50, CHILD, MAIN, THREAD),
            made.switch(55, IDLE, 0, CHILD),
            made.ended(60, CHILD),
            made.ended(70, MAIN),
        ],
    )
    child = [(state, start, dur) for tid, state, _, start, dur in states(loaded) if tid == CHILD]
    assert sorted(child, key=lambda row: row[1]) == [
        ("runnable", 20, 2),
        ("running", 22, 8),
        ("runnable", 50, 5),
        ("running", 55, 5),
    ]
    assert {row[:2] for row in loaded.rows("sched", "tid", "pid", "start_ns") if row[0] == CHILD} == {
        (CHILD, CHILD),
        (CHILD, MAIN),
    }


def test_a_thread_that_calls_exec_becomes_the_first_thread(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        [
            made.born(10, MAIN, START),
            made.born(20, WORKER, MAIN, THREAD),
            made.ended(100, MAIN, b"python"),
            made.executed(110, MAIN, b"/bin/sleep", caller=WORKER),
            made.ended(10_000, MAIN, b"sleep"),
        ],
    )
    (facts,) = loaded.told
    assert facts.process["exit_ns"] == 10_000
    assert facts.process["executable"] == "/bin/sleep"
    lives = [(row["tid"], row["start_ns"], row["end_ns"]) for row in facts.threads]
    assert lives == [(MAIN, 10, 100), (WORKER, 20, 110), (MAIN, 110, 10_000)]


def test_how_long_the_last_state_lasted_is_not_known_without_an_end(tmp_path: Path) -> None:
    loaded = load(tmp_path, [made.born(10, MAIN, START), made.switch(15, IDLE, 0, MAIN)])
    assert [row[1:] for row in states(loaded)] == [("runnable", None, 10, 5)]
    (facts,) = loaded.told
    assert facts.process["exit_ns"] is None


def test_without_probes_there_are_switches_and_no_waits(tmp_path: Path) -> None:
    facts = made.meta()
    events = {name: text for name, text in facts["events"].items() if name in made.FIELDS}
    loaded = load(tmp_path, main_and_worker(made.switch(30, IDLE, 0, MAIN)), uprobes={}, events=events)
    assert loaded.rows("waits", "tid") == []
    assert {row[0] for row in states(loaded)} == {MAIN, WORKER}


def test_a_trace_on_another_clock_is_left_out_with_a_notice(tmp_path: Path) -> None:
    window = Window(10**15, 10**15 + 10**9)
    loaded = load(tmp_path, main_and_worker(made.switch(30, IDLE, 0, MAIN)), window=window)
    assert loaded.told == []
    assert loaded.rows("sched", "tid") == []
    assert loaded.rows("notices", "code") == [("trace-misaligned",)]


def test_a_bundle_without_the_capture_has_no_rows(tmp_path: Path) -> None:
    columns = Columns()
    assert add_kernel(Bundle(tmp_path), RUN, Window(None, None), columns) == []
    assert columns.frame("sched").empty


@pytest.mark.parametrize("probed", [False, True])
def test_the_kernel_adds_to_what_streams_and_probe_know(tmp_path: Path, *, probed: bool) -> None:
    told = load(
        tmp_path, main_and_worker(made.switch(30, IDLE, 0, WORKER), made.switch(80, WORKER, SLEEPING, IDLE))
    ).told
    lives = ProcessLifetimes()
    life = lives.add(pid=MAIN, role="main", exit_ns=9_990)
    worker = {"tid": WORKER, "name": "pool_0", "role": "worker", "start_ns": 33, "end_ns": 8_000, "cpu_ns": 45}
    life.threads.append({**worker, "run_queue_wait_ns": 5} if probed else worker)
    add_kernel_lifetimes(lives, told)
    assert (life.row["role"], life.row["exit_ns"], life.row["ppid"]) == ("main", 9_990, made.TRACEKIT)
    rows = {row["tid"]: row for row in life.threads}
    assert set(rows) == {MAIN, WORKER}
    assert (rows[WORKER]["name"], rows[WORKER]["role"]) == ("pool_0", "worker")
    assert rows[WORKER]["voluntary_switches"] == 1
    assert (rows[WORKER]["cpu_ns"], rows[WORKER]["start_ns"]) == ((45, 33) if probed else (50, 20))


@pytest.mark.parametrize(
    ("known_ns", "expected_ns"), [(500_000, 10_000), (10_000, 10_000), (9_990, 9_990), (None, 10_000)]
)
def test_the_end_of_a_killed_process_is_when_it_was_gone_and_not_when_somebody_waited_for_it(
    tmp_path: Path, known_ns: int | None, expected_ns: int
) -> None:
    told = load(tmp_path, main_and_worker(made.switch(30, IDLE, 0, WORKER))).told
    lives = ProcessLifetimes()
    life = lives.add(pid=MAIN, began_ns=10, exit_ns=known_ns)
    add_kernel_lifetimes(lives, told)
    assert life.row["exit_ns"] == expected_ns
    # That end is of an earlier process that had the same pid.
    later = ProcessLifetimes()
    again = later.add(pid=MAIN, began_ns=20_000, exit_ns=500_000)
    add_kernel_lifetimes(later, told)
    assert again.row["exit_ns"] == 500_000
