"""An event loop whose thread blocked in something else than its poll."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, found, only
from tests.unit.analysis.metrics.watched_program import Program

SELECT = {"function": "EpollSelector.select", "file": "/usr/lib/python3.13/selectors.py", "line": 435}
SLEEPS = {"function": "sleeps_in_coroutine", "file": APP, "line": 15}


def program(polls: Any = ((0, 100), (450, 500), (600, 900)), select: dict[str, Any] = SELECT) -> Program:
    """In 1 s its loop polls from 0 to 100 ms, from 450 to 500 ms, and from 600 to 900 ms."""
    made = Program(1_000)
    made.thread(made.pid, 50, role="main", end_ms=1_000)
    for begin, end in polls:
        made.wait(made.pid, "poll", begin, end, **select)
    return made


def test_a_sleep_in_a_coroutine_is_named() -> None:
    made = program()
    made.wait(made.pid, "sleep", 110, 410, **SLEEPS)
    made.wait(made.pid, "io-read", 510, 530, function="load", file=APP, line=30)
    finding = only(made, "event-loop")
    assert finding.sentence == (
        "The event loop of main thread could not run for 320 ms, up to 300 ms at a time: it slept for 300 ms in "
        "`sleeps_in_coroutine` (me/app.py:15) and it was in a read for 20.0 ms in `load` (me/app.py:30)."
    )
    assert finding.weight_ns == 320 * MS
    assert "asyncio.sleep" in finding.advice


def test_what_is_no_sleep_goes_to_a_thread() -> None:
    made = program()
    made.wait(made.pid, "lock", 110, 410, function="load", file=APP, line=30)
    assert "asyncio.to_thread" in only(made, "event-loop").advice


@pytest.mark.parametrize(
    ("begin", "end", "where"),
    [(920, 990, SLEEPS), (110, 119, SLEEPS), (110, 410, {"function": "<module>", "file": APP})],
    ids=["after the last poll", "too short", "between two loops"],
)
def test_a_sleep_that_blocks_no_loop_is_not_said(begin: float, end: float, where: dict[str, Any]) -> None:
    made = program()
    made.wait(made.pid, "sleep", begin, end, **where)
    assert found(made, "event-loop") == []


def test_a_sleep_in_another_thread_blocks_no_loop() -> None:
    made = program()
    made.thread(12, end_ms=1_000)
    made.wait(12, "sleep", 110, 410, **SLEEPS)
    assert found(made, "event-loop") == []


def test_a_wait_for_the_gil_is_said_by_others() -> None:
    made = program()
    made.wait(made.pid, "gil", 110, 410, **SLEEPS)
    assert found(made, "event-loop") == []


def test_a_selector_of_multiprocessing_is_no_event_loop() -> None:
    made = program(select={**SELECT, "function": "_PollLikeSelector.select"})
    made.wait(made.pid, "sleep", 110, 410, **SLEEPS)
    assert found(made, "event-loop") == []


@pytest.mark.parametrize(
    ("function", "file"),
    [("_worker", "concurrent/futures/thread.py"), ("write_signed", "multiprocessing/forkserver.py")],
    ids=["a pool's thread", "the fork server"],
)
def test_a_thread_that_waits_for_work_elsewhere_and_polls_has_no_event_loop(function: str, file: str) -> None:
    made = program()
    made.wait(made.pid, "sleep", 110, 410, **SLEEPS)
    made.wait(made.pid, "lock", 460, 461, function=function, file=f"/usr/lib/python3.13/{file}")
    assert found(made, "event-loop") == []


@pytest.mark.parametrize(("file", "speaks"), [("asyncio/base_events.py", True), ("kafka/client.py", False)])
def test_a_stack_tells_whether_it_was_in_the_loop_of_asyncio(file: str, speaks: bool) -> None:
    """As the loop of a thread in a pool is one, too, what its own file says counts no more."""
    made = program()
    made.wait(made.pid, "sleep", 110, 410, **SLEEPS)
    made.wait(made.pid, "lock", 460, 461, function="_worker", file="/usr/lib/python3.13/concurrent/futures/thread.py")
    stack = f"main ({APP}:3);run_forever (/usr/lib/python3.13/{file}:640);sleeps_in_coroutine ({APP}:16)"
    place = {"run_id": made.run["run_id"], "pid": made.pid, "tid": made.pid, "kind": "sleep"}
    made.maker.row("wait_stacks", **place, at_ns=made.at(110), stack=stack)
    assert bool(found(made, "event-loop")) is speaks
