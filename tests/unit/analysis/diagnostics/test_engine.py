"""All diagnostics of a run, ranked by the time that could be won back."""

from __future__ import annotations

import pytest

from tests.unit.analysis.diagnostics import (
    test_child_programs,
    test_event_loop,
    test_lock_contention,
    test_uneven_workers,
)
from tests.unit.analysis.diagnostics.found import diagnosis
from tests.unit.analysis.diagnostics.test_long_gil_holds import HOG, MATCH, TICKER
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.diagnostics import ABOUT_THE_GIL, DIAGNOSTICS
from tracekit.analysis.diagnostics.engine import MOST_SAID, load_diagnostic


def test_each_diagnostic_has_the_name_under_which_it_is_found() -> None:
    assert [load_diagnostic(name).name for name in DIAGNOSTICS] == list(DIAGNOSTICS)
    assert set(ABOUT_THE_GIL) < set(DIAGNOSTICS)


def test_the_most_time_comes_first_and_only_so_many_are_said() -> None:
    """Seven holders, one after the other; of each the ticker waits 10 ms longer than of the one before."""
    made = Program(1_000)
    made.thread(TICKER, 5, end_ms=1_000, name="ticker")
    for number in range(1, 8):
        begin, holder = 100 * number, 100 + number
        place = {**MATCH, "function": f"match {number}"}
        made.thread(holder, 100, end_ms=1_000, name=f"hog {number}")
        made.hold(holder, begin, begin + 20 + 10 * number, **place)
        made.wait(TICKER, "gil", begin, begin + 20 + 10 * number, holder_tid=holder)
    found = diagnosis(made)
    assert [finding.weight_ns for finding in found.said] == [90_000_000 - 10_000_000 * number for number in range(5)]
    assert (len(found.said), found.unsaid) == (MOST_SAID, 2)
    assert "by hog 7 in `match 7`" in found.said[0].sentence


def busy_program() -> Program:
    """Something for most diagnostics to look at: two workers, a lock, the GIL, a loop, a child without Python."""
    made = test_uneven_workers.program()
    made.run["asked_ns"] = made.at(990)
    made.maker.rows["processes"][0]["cpu_ns"] = 900_000_000
    for tid in (HOG, TICKER):
        made.thread(tid, 400, end_ms=1_000, run_queue_wait_ns=10)
    made.hold(HOG, 100, 130, **MATCH)
    made.wait(TICKER, "gil", 100, 130, holder_tid=HOG)
    test_lock_contention.lock_wait(made, TICKER, 200, 300, HOG, test_lock_contention.KEEPS)
    test_lock_contention.lock_wait(made, HOG, 200, 302, TICKER, test_lock_contention.WANTS)
    for begin in (400, 600):
        made.wait(made.pid, "poll", begin, begin + 50, **test_event_loop.SELECT)
    made.wait(made.pid, "sleep", 500, 550, **test_event_loop.SLEEPS)
    made.child(700, 650, 900, executable="/usr/bin/make")
    made.wait(made.pid, "child-wait", 660, 900, object="pid 700", **test_child_programs.WAIT)
    return made


OPTIONAL = {
    "processes": ("ppid", "exec_ns", "exit_ns", "cpu_ns"),
    "threads": ("end_ns", "cpu_ns"),
    "waits": ("object", "function", "file"),
    "wakeups": ("woken_ns", "file"),
    "holds": ("start_ns", "function"),
    "runs": ("wall_ns", "asked_ns"),
}


@pytest.mark.parametrize("table", OPTIONAL)
def test_what_was_not_recorded_raises_nothing(table: str) -> None:
    """One column of the table after the other, and then all of them."""
    assert len(diagnosis(busy_program()).said) == MOST_SAID
    for columns in (*((name,) for name in OPTIONAL[table]), OPTIONAL[table]):
        made = busy_program()
        for row in made.maker.rows[table]:
            row.update(dict.fromkeys(columns))
        diagnosis(made)
