"""A function that keeps the GIL far beyond the switch interval."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, diagnosis, found, only
from tests.unit.analysis.metrics.watched_program import Program

HOG, TICKER, THIRD = 11, 12, 13
MATCH = {"function": "match", "file": "/usr/lib/python3.13/re/__init__.py", "line": 163}
TICK = {"function": "ticker", "file": APP, "line": 20}


def program(held_ms: float = 25, times: int = 4, **of_hog: Any) -> Program:
    """In 1 s `regex_scan` holds the GIL so long, so many times; `ticker` waits for it from 1 ms after its begin on."""
    made = Program(1_000)
    made.thread(made.pid, role="main", end_ms=1_000)
    made.thread(HOG, 500, end_ms=1_000, name="regex_scan", **of_hog)
    made.thread(TICKER, 5, end_ms=1_000, name="ticker")
    for number in range(times):
        begin = 100 * (number + 1)
        made.hold(HOG, begin, begin + held_ms, **MATCH)
        made.wait(TICKER, "gil", begin + 1, begin + held_ms, holder_tid=HOG, **TICK)
    return made


def test_the_holder_is_named_with_its_function_and_the_one_who_waited_for_it() -> None:
    finding = only(program(), "long-gil-holds")
    assert finding.sentence == (
        "The GIL was kept for up to 24.0 ms at a time, though Python asks for it after 5.00 ms, by regex_scan in "
        "`match` (re/__init__.py:163): ticker waited 96.0 ms for that in 4 holds."
    )
    assert finding.weight_ns == 96 * MS
    assert "ProcessPoolExecutor" in finding.advice


def test_of_a_library_s_function_the_program_s_own_caller_is_named() -> None:
    """As most of the recorded stacks have it; that of a function of the program needs no caller."""
    made = program()
    own, thread = f"regex_scan ({APP}:9)", "Thread.run (/usr/lib/python3.13/threading.py:982)"
    match = "match (/usr/lib/python3.13/re/__init__.py:166)"
    place = {"run_id": made.run["run_id"], "pid": made.pid, "tid": HOG, "kind": "hold"}
    stacks = [
        f"{thread};other ({APP}:3);{match}",
        f"{thread};{own};{match}",
        f"{thread};{own};{match}",
        f"{thread};{match}",
    ]
    for number, stack in enumerate(stacks):
        made.maker.row("wait_stacks", **place, at_ns=made.at(100 + number), stack=stack)
    said = only(made, "long-gil-holds").sentence
    assert "in `match` (re/__init__.py:163), called in `regex_scan` (me/app.py:9): ticker" in said
    for row in made.maker.rows["holds"]:
        row.update(function="regex_scan", file=APP, line=8)
    made.maker.row("wait_stacks", **place, at_ns=made.at(200), stack=f"main ({APP}:30);{own}")
    assert "called in" not in only(made, "long-gil-holds").sentence


def test_of_several_waiters_the_one_who_waited_longest_counts() -> None:
    made = program()
    made.thread(THIRD, 5, end_ms=1_000, name="third")
    made.wait(THIRD, "gil", 110, 125, holder_tid=HOG)
    finding = only(made, "long-gil-holds")
    assert finding.sentence.endswith("ticker waited 96.0 ms for that in 4 holds, and 1 other thread less.")
    assert finding.weight_ns == 96 * MS


def test_threads_that_keep_it_in_one_function_are_one_finding() -> None:
    made = program(times=1)
    made.thread(THIRD, 100, end_ms=1_000, name="third")
    made.hold(THIRD, 300, 330, **MATCH)
    made.wait(TICKER, "gil", 300, 330, holder_tid=THIRD, **TICK)
    assert "by third and 1 other thread in `match`" in only(made, "long-gil-holds").sentence
    assert only(made, "long-gil-holds").sentence.endswith("ticker waited 54.0 ms for that in 2 holds.")
    for row in made.maker.rows["holds"]:
        row.update(function=None, file=None, line=None)
    assert [finding.weight_ns for finding in found(made, "long-gil-holds")] == [30 * MS, 24 * MS]


@pytest.mark.parametrize("held_ms", [6, 10.9])
def test_a_thread_that_reacts_after_the_switch_interval_is_none(held_ms: float) -> None:
    assert found(program(held_ms, times=9), "long-gil-holds") == []


def test_a_few_long_holds_among_many_short_ones_are_none() -> None:
    """As on a machine that is busy now and then: 24 ms of 24 + 30."""
    made = program(times=1)
    for number in range(6):
        begin = 300 + 20 * number
        made.hold(HOG, begin, begin + 6, **MATCH)
        made.wait(TICKER, "gil", begin + 1, begin + 6, holder_tid=HOG, **TICK)
    assert found(made, "long-gil-holds") == []


def test_a_holder_that_waited_for_a_cpu_may_have_been_long_for_that() -> None:
    """24 ms are less than 6 switch intervals of 5 ms, 34 ms are more."""
    assert found(program(run_queue_wait_ns=200 * MS), "long-gil-holds") == []
    assert only(program(held_ms=35, run_queue_wait_ns=200 * MS), "long-gil-holds").sentence.endswith(
        "Meanwhile it may have lacked a CPU, as it did for 200 ms of its life."
    )
    assert "lacked a CPU" not in only(program(run_queue_wait_ns=100 * MS), "long-gil-holds").sentence


def test_the_switch_interval_is_that_of_the_process() -> None:
    made = program()
    made.maker.rows["processes"][0]["switch_interval_ns"] = 20 * MS
    assert found(made, "long-gil-holds") == []


def test_less_than_a_hundredth_of_the_wall_or_10_ms_is_not_said() -> None:
    made = program(held_ms=12, times=1)
    assert found(made, "long-gil-holds") != []
    made.run["wall_ns"] = 1_200 * MS
    assert diagnosis(made).said == ()
