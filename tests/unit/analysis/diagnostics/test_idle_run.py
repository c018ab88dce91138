"""A run in which nearly nothing happened."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, JOIN, QUEUE_GET, found, only
from tests.unit.analysis.metrics.watched_program import Program

READER, GETTER, POPEN = 12, 13, 500


def program(cpu_ms: int = 60, main_until: float = 2_900, reads_until: float = 2_980) -> Program:
    """In 3 s main sleeps for 2.86 s and joins, a thread waits in Queue.get, another in one read."""
    made = Program(3_000)
    made.maker.rows["processes"][0]["cpu_ns"] = cpu_ms * MS
    made.thread(made.pid, cpu_ms, role="main", end_ms=3_000)
    made.wait(made.pid, "sleep", 40, main_until, function="<module>", file=APP, line=1)
    made.wait(made.pid, "lock", 2_910, 2_990, **JOIN)
    made.thread(GETTER, start_ms=40, end_ms=2_990)
    made.wait(GETTER, "lock", 41, 2_980, **QUEUE_GET)
    made.thread(READER, start_ms=40, end_ms=2_990)
    made.wait(READER, "io-read", 41, reads_until, function="pipe_read", file=APP, line=9, object="fd 3")
    return made


def test_what_the_threads_waited_in_is_named_and_load_is_advised() -> None:
    finding = only(program(), "idle-run")
    assert finding.sentence == (
        "This run was idle: 60.0 ms of CPU time in 3.00 s. For 99 % of their time its 3 threads slept or waited for "
        "something to come, in `Queue.get` (python3.13/queue.py:154), `pipe_read` (me/app.py:9), `<module>` "
        "(me/app.py:1) and `Thread.join` (python3.13/threading.py:1056)."
    )
    assert finding.weight_ns == 2_940 * MS
    assert "under load" in finding.advice


@pytest.mark.parametrize(
    "changed",
    [{"cpu_ms": 310}, {"main_until": 2_600}, {"reads_until": 600}],
    ids=["it computes", "main does something else", "a reader that gets much"],
)
def test_a_run_that_does_something_is_not_idle(changed: dict[str, Any]) -> None:
    assert found(program(**changed), "idle-run") == []


def test_a_main_thread_that_waits_for_an_answer_is_not_idle() -> None:
    made = program()
    for row in made.maker.rows["waits"]:
        if row["kind"] == "sleep":
            row["kind"] = "io-read"
    assert found(made, "idle-run") == []
    assert found(made, "io-bound") != []


def test_a_program_beside_it_may_have_worked() -> None:
    made = program()
    made.child(POPEN, 100, 2_000, executable="/usr/bin/make", exec_ns=made.at(101), cpu_ns=5 * MS)
    assert found(made, "idle-run") == []
    made.maker.rows["processes"][-1]["exit_ns"] = made.at(200)
    assert found(made, "idle-run") != []


def test_what_stood_still_when_it_was_asked_to_end_is_a_hang() -> None:
    made = program()
    made.run["asked_ns"] = made.at(2_960)
    assert found(made, "idle-run") == []
    assert found(made, "hang") != []


@pytest.mark.parametrize(("ended", "advice"), [("exit", "ended by itself"), ("signal", "under load")])
def test_load_is_not_advised_for_a_program_that_ended_by_itself(ended: str, advice: str) -> None:
    made = program()
    made.maker.rows["processes"][0]["ended"] = ended
    assert advice in only(made, "idle-run").advice
