"""Holds and handoffs of the GIL, by hand."""

from __future__ import annotations

import pytest

from tests.table_factory import ENVIRONMENT, MS
from tests.unit.analysis.metrics.metric_rows import one_row
from tests.unit.analysis.metrics.watched_program import Program


def test_holds_that_somebody_waited_for() -> None:
    program = Program()
    program.maker.facts["environments"] = [ENVIRONMENT]
    program.hold(7, 0, 4)
    program.hold(7, 10, 16)
    program.hold(8, 20, 32)
    program.hold(8, None, 50)
    program.hold(7, 95, 130)
    program.wait(9, "gil", 3, 60)
    program.wait(9, "gil", 98, 130)
    # One that nobody waited for, of the same GIL and of another.
    program.hold(8, 70, 90)
    program.hold(8, 20, 40, object="gil 2")
    tables = program.tables()
    for metric, run, thread in (
        ("gil_hold_ns", 27 * MS, 15 * MS),
        ("gil_hold_longest_ns", 12 * MS, 6 * MS),
        ("gil_holds_over_interval", 2, 1),
    ):
        assert one_row(tables, metric, scope="run")["value"] == run
        assert one_row(tables, metric, scope="thread", tid=7)["value"] == thread


def test_a_hold_may_end_while_the_thread_that_then_waits_is_asking() -> None:
    """A drop is stamped before its thread sleeps for the GIL's mutex, which the other one has: up to 1 µs."""
    for after_ms, wanted in ((0, 4), (0.0009, 4), (0.0011, 0)):
        program = Program()
        program.thread(7)
        program.hold(7, 10, 14)
        program.wait(8, "gil", 14 + after_ms, 16)
        assert one_row(program.tables(), "gil_hold_ns", scope="run")["value"] == wanted * MS


def test_the_switch_interval_is_that_of_the_runs_python() -> None:
    program = Program()
    python = {**ENVIRONMENT["python"], "switch_interval_s": 0.02}
    program.maker.facts["environments"] = [{**ENVIRONMENT, "python": python}]
    program.hold(7, 0, 15)
    program.wait(7, "gil", 0, 45)
    program.thread(7)
    assert one_row(program.tables(), "gil_holds_over_interval", scope="run")["value"] == 0
    assert one_row(program.tables(), "gil_waiter_switches", scope="run")["value"] == 3


def test_handoffs_and_what_they_cost() -> None:
    program = Program()
    program.thread(7)
    program.thread(8)
    program.thread(9)
    # 8 gets it 2 ms after 7 dropped it; 9, which woke as well, 4 ms after 8 did.
    program.wait(8, "gil", 10, 32)
    program.wait(9, "gil", 11, 44)
    program.hold(7, 5, 30)
    program.hold(8, 32, 40)
    # 7 waits 5 ms and nobody drops meanwhile: no handoff (the wait was given up, or the drop was not seen).
    program.wait(7, "gil", 50, 55)
    # A drop before the wait began gives nothing to it.
    program.hold(9, 45, 49)
    tables = program.tables()
    assert one_row(tables, "gil_handoffs", scope="run")["value"] == 2
    assert one_row(tables, "gil_handoff_latency_ns", scope="run")["value"] == 3 * MS
    assert one_row(tables, "gil_handoff_latency_p95_ns", scope="run")["value"] == pytest.approx(3.9 * MS)


def test_one_drop_is_one_handoff() -> None:
    program = Program()
    program.thread(7)
    program.hold(7, 0, 20)
    program.wait(8, "gil", 5, 21)
    program.wait(9, "gil", 5, 26)
    assert one_row(program.tables(), "gil_handoffs", scope="run")["value"] == 1
    assert one_row(program.tables(), "gil_handoff_latency_ns", scope="run")["value"] == 1 * MS


def test_a_handoff_is_from_the_last_drop_by_another_thread() -> None:
    """7 waits from 4 to 10. Its own drop before that is stamped late, at 5; drops of 8 come one after the other."""
    program = Program()
    program.thread(7)
    program.thread(8)
    program.wait(7, "gil", 4, 10)
    program.hold(8, None, 3)
    program.hold(7, None, 5)
    # Only its own drop lies in the wait, and 8's before it: nobody handed anything over.
    assert one_row(program.tables(), "gil_handoffs", scope="run")["value"] == 0
    program.hold(8, None, 4.5)
    # 8 held it for a moment before 7's own drop was stamped.
    assert one_row(program.tables(), "gil_handoff_latency_ns", scope="run")["value"] == 5.5 * MS
    program.hold(7, None, 5.5)
    assert one_row(program.tables(), "gil_handoff_latency_ns", scope="run")["value"] == 5.5 * MS
    program.hold(8, None, 6)
    program.hold(8, None, 9)
    tables = program.tables()
    assert one_row(tables, "gil_handoffs", scope="run")["value"] == 1
    assert one_row(tables, "gil_handoff_latency_ns", scope="run")["value"] == 1 * MS


def test_a_thread_may_begin_to_wait_while_the_gil_is_being_dropped() -> None:
    """The GIL is free some us after the drop is stamped; a drop that was long before is another one."""
    program = Program()
    program.thread(7)
    program.hold(7, 0, 5)
    program.wait(8, "gil", 5.05, 6)
    program.hold(7, 7, 9)
    program.wait(8, "gil", 9.2, 10)
    tables = program.tables()
    assert one_row(tables, "gil_handoffs", scope="run")["value"] == 1
    assert one_row(tables, "gil_handoff_latency_ns", scope="run")["value"] == 1 * MS


def test_where_drops_were_not_recorded_waits_are_counted() -> None:
    program = Program()
    program.thread(7)
    program.wait(7, "gil", 5, 21)
    assert one_row(program.tables(), "gil_handoffs", scope="run")["value"] == 1
    latency = one_row(program.tables(), "gil_handoff_latency_ns", scope="run")
    assert (latency["quality"], latency["reason"]) == ("unavailable", "no GIL drop was recorded in this run")
