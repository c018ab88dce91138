"""A program that hung: what everybody was in when it was asked to end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, JOIN, POPEN_WAIT, QUEUE_GET, found, only
from tests.unit.analysis.metrics.watched_program import Program

CHILD, FEEDER = 500, 501
EPOLL = {"function": "EpollSelector.select", "file": "/usr/lib/python3.13/selectors.py", "line": 435}
ACCEPT = {"function": "socket.accept", "file": "/usr/lib/python3.13/socket.py", "line": 286}


def program(asked_ms: float | None = 4_000, **values: Any) -> Program:
    """It takes 4.02 s; main waits from 40 ms on for its child to end, until it is asked to end."""
    made = Program(4_020, exit_code=-2, **values)
    made.run["asked_ns"] = None if asked_ms is None else made.at(asked_ms)
    made.maker.rows["processes"][0].update(ended="signal", exit_code=-2, exit_ns=made.at(4_020))
    made.thread(made.pid, role="main", end_ms=4_020)
    made.wait(made.pid, "child-wait", 40, 4_001, object=f"pid {CHILD}", **POPEN_WAIT)
    made.child(CHILD, 38, 4_010)
    made.thread(CHILD, pid=CHILD, start_ms=39, end_ms=4_010)
    return made


def feeding(**values: Any) -> Program:
    """Its child's main thread joins the feeder from 50 ms on, which is in a write from 60 ms on."""
    made = program(**values)
    made.thread(FEEDER, pid=CHILD, start_ms=45, end_ms=4_010, name="feeder")
    made.wait(CHILD, "lock", 50, 4_003, pid=CHILD, **JOIN)
    made.wait(FEEDER, "io-write", 60, 4_010, pid=CHILD, object="fd 4")
    return made


def test_a_feeder_that_nobody_reads_from_is_named_with_those_that_wait_for_it() -> None:
    finding = only(feeding(), "hang")
    assert finding.sentence == (
        "From 60.0 ms after its start nothing moved, until it was asked to end 3.94 s later: process 500 · feeder had "
        "been in a write of fd 4 for 3.94 s, process 500 had waited 3.95 s for process 500 · feeder to end and main "
        "thread had waited 3.96 s for process 500 to end."
    )
    assert finding.weight_ns == 3_940 * MS
    assert "before `join()`" in finding.advice


def test_a_program_that_was_killed_is_looked_at_when_it_died() -> None:
    made = feeding(asked_ms=None)
    for row in made.maker.rows["waits"]:
        row["dur_ns"] = made.at(4_020) - row["start_ns"]
    for row in (*made.maker.rows["threads"], *made.maker.rows["processes"]):
        row["end_ns" if "tid" in row else "exit_ns"] = made.at(4_020)
    assert "until it was killed 3.96 s later" in only(made, "hang").sentence


def orphan(threads: int = 2, **wait: Any) -> Program:
    """The child waits from 100 ms on for a lock; its parent had so many threads, the others ended at 1 s."""
    made = program()
    for number in range(1, threads):
        made.thread(made.pid + number, start_ms=10, end_ms=1_000)
        made.wait(made.pid + number, "sleep", 12, 999)
    place = {"function": "child", "file": APP, "line": 9, "object": "0x55aa00"}
    made.wait(CHILD, "lock", 100, 4_003, pid=CHILD, **{**place, **wait})
    return made


def test_a_lock_that_was_held_when_the_process_was_forked_cannot_be_released_in_it() -> None:
    finding = only(orphan(), "hang")
    # The other thread ended at 1 s: until then something moved.
    assert finding.sentence.startswith("From 1.00 s after its start nothing moved, until it was asked to end 3.00 s")
    assert "process 500 had waited 3.90 s for a lock in `child` (me/app.py:9)" in finding.sentence
    assert finding.sentence.endswith(
        "No thread of process 500 can release that lock: it was forked beside 1 other thread, which does not exist in "
        "it, and its one thread is the one that waits."
    )
    assert "spawn" in finding.advice


def test_of_a_process_that_was_forked_beside_no_thread_nothing_is_said_of_the_lock() -> None:
    finding = only(orphan(threads=1), "hang")
    assert "can release" not in finding.sentence
    assert "py-spy" in finding.advice


def test_a_child_that_executed_a_program_was_not_forked_beside_threads() -> None:
    made = orphan()
    made.maker.rows["processes"][1]["exec_ns"] = made.at(50)
    assert "can release" not in only(made, "hang").sentence


def test_a_second_thread_in_the_child_may_release_the_lock() -> None:
    made = orphan()
    made.thread(FEEDER, pid=CHILD, start_ms=90, end_ms=4_010)
    made.wait(FEEDER, "lock", 95, 4_010, pid=CHILD, **QUEUE_GET)
    assert "can release" not in only(made, "hang").sentence


def test_a_program_that_ended_by_itself_did_not_hang() -> None:
    made = feeding(asked_ms=None)
    made.maker.rows["processes"][0].update(ended="exit", exit_code=0)
    assert found(made, "hang") == []


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("sleep", {"function": "beat", "file": APP}),
        ("poll", EPOLL),
        ("io-read", {"function": "talk", "file": APP, "object": "fd 0"}),
        ("poll", ACCEPT),
    ],
)
def test_a_thread_that_anything_outside_may_wake_is_no_hang(kind: str, where: dict[str, Any]) -> None:
    made = feeding()
    made.thread(made.pid + 1, start_ms=10, end_ms=4_020)
    made.wait(made.pid + 1, kind, 20, 4_020, **where)
    assert found(made, "hang") == []


def test_what_multiprocessing_runs_beside_the_program_waits_for_its_end() -> None:
    made = feeding()
    made.child(600, 30, 4_018, exec_ns=made.at(31), name="fork server")
    made.thread(600, pid=600, start_ms=31, end_ms=4_018)
    made.wait(600, "poll", 900, 4_017, pid=600, **EPOLL)
    assert only(made, "hang").sentence.startswith("From 60.0 ms after its start nothing moved")
    made.maker.rows["processes"][-1]["name"] = "server.py"
    assert found(made, "hang") == []


def test_before_3_11_functions_have_no_class() -> None:
    made = feeding()
    for row in made.maker.rows["waits"]:
        if row.get("function") == "Thread.join":
            row["function"] = "_wait_for_tstate_lock"
    assert "process 500 had waited 3.95 s for process 500 · feeder to end" in only(made, "hang").sentence


def test_the_thread_of_a_pool_that_polls_its_processes_is_no_server() -> None:
    """A server polls for half a second at a time; and a program of one process has no pool of them."""
    for begin, speaks in ((2_900, True), (3_100, False)):
        made = feeding()
        made.thread(made.pid + 1, start_ms=10, end_ms=4_020)
        made.wait(made.pid + 1, "poll", begin, 4_020, **{**EPOLL, "function": "_PollLikeSelector.select"})
        assert bool(found(made, "hang")) is speaks
        for row in (*made.maker.rows["waits"], *made.maker.rows["threads"]):
            row["pid"] = made.pid
        assert found(made, "hang") == []


def test_a_thread_that_computes_when_it_is_asked_to_end_moves() -> None:
    made = feeding()
    made.thread(made.pid + 1, start_ms=10, end_ms=4_020)
    made.wait(made.pid + 1, "lock", 20, 3_900)
    assert found(made, "hang") == []


def test_a_process_of_which_nothing_is_known_may_have_moved() -> None:
    made = feeding()
    made.child(600, 100, 4_010, executable="/usr/bin/make")
    assert found(made, "hang") == []
    made.maker.rows["processes"][-1]["exit_ns"] = made.at(3_000)
    assert found(made, "hang") != []


def test_what_stood_still_for_a_moment_only_is_not_said() -> None:
    """40 ms are 1 % of the wall."""
    made = feeding()
    made.thread(FEEDER + 1, pid=CHILD, start_ms=45, end_ms=3_970)
    assert found(made, "hang") == []
    made.maker.rows["threads"][-1]["end_ns"] = made.at(3_950)
    assert found(made, "hang") != []


def test_an_idle_pool_beside_it_is_counted_not_named() -> None:
    made = feeding()
    for number in range(1, 9):
        made.thread(made.pid + number, start_ms=10, end_ms=4_020)
        made.wait(made.pid + number, "lock", 20, 4_020, **QUEUE_GET)
    finding = only(made, "hang")
    assert finding.sentence.endswith("and 7 other threads waited as well.")
    assert "process 500 · feeder had been in a write" in finding.sentence
