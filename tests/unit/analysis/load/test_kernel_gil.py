"""A kernel trace to GIL waits and holds, with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.analysis.load import made_kernel as made
from tests.unit.analysis.load.loaded_kernel import CHILD, IDLE, MAIN, WORKER, Loaded, load, main_and_worker
from tests.unit.analysis.load.made_kernel import PREEMPTED, SLEEPING, THREAD, Event


def gil_call(tid: int, function: str, start: int, end: int) -> list[Event]:
    return [made.probe(start, tid, function, "entry"), made.probe(end, tid, function, "return")]


def waits(loaded: Loaded) -> list[tuple[Any, ...]]:
    return loaded.rows("waits", "tid", "kind", "start_ns", "dur_ns", "holder_tid")


def test_a_take_is_a_wait_only_when_the_thread_slept_in_it(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            *gil_call(MAIN, "take", 30, 40),
            # The worker finds it taken, sleeps twice and gets it.
            *gil_call(WORKER, "take", 100, 300),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.switch(150, IDLE, 0, WORKER),
            made.switch(155, WORKER, SLEEPING, IDLE),
            *gil_call(MAIN, "drop", 250, 260),
            made.switch(280, IDLE, 0, WORKER),
            *gil_call(WORKER, "drop", 400, 405),
            # It finds it free, and is preempted.
            *gil_call(WORKER, "take", 500, 600),
            made.switch(510, WORKER, PREEMPTED, MAIN),
            made.switch(590, MAIN, SLEEPING, WORKER),
        ),
    )
    assert waits(loaded) == [(WORKER, "gil", 100, 200, MAIN)]
    held = loaded.rows("holds", "tid", "start_ns", "end_ns", "object", "method")
    assert held == [(MAIN, 40, 250, "gil 1", "kernel-uprobe")]


def test_being_preempted_before_the_first_sleep_or_after_the_last_is_no_wait(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            made.switch(25, IDLE, 0, WORKER),
            *gil_call(WORKER, "take", 100, 900),
            made.switch(110, WORKER, PREEMPTED, IDLE),
            made.switch(200, IDLE, 0, WORKER),
            made.switch(210, WORKER, SLEEPING, IDLE),
            # Preempted between two sleeps: it asks again, and has not got it.
            made.switch(300, IDLE, 0, WORKER),
            made.switch(310, WORKER, PREEMPTED, IDLE),
            made.switch(400, IDLE, 0, WORKER),
            made.switch(410, WORKER, SLEEPING, IDLE),
            made.switch(500, IDLE, 0, WORKER),
            # It has it by now.
            made.switch(510, WORKER, PREEMPTED, IDLE),
            made.switch(890, IDLE, 0, WORKER),
        ),
    )
    assert [row[1:4] for row in waits(loaded)] == [("gil", 210, 290)]


def test_a_drop_in_which_it_slept_is_a_forced_switch(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            *gil_call(MAIN, "take", 30, 40),
            *gil_call(WORKER, "take", 100, 320),
            made.switch(110, WORKER, SLEEPING, IDLE),
            *gil_call(MAIN, "drop", 250, 330),
            made.switch(260, MAIN, SLEEPING, IDLE),
            made.switch(310, IDLE, 0, WORKER),
            made.switch(325, IDLE, 0, MAIN),
        ),
    )
    assert waits(loaded) == [(MAIN, "gil-switch", 250, 80, None), (WORKER, "gil", 100, 220, MAIN)]


def test_who_had_it_is_not_who_just_gave_it_away(tmp_path: Path) -> None:
    """After a forced switch a thread asks again before the one that took it is seen to return from its take."""
    loaded = load(
        tmp_path,
        main_and_worker(
            *gil_call(MAIN, "take", 30, 40),
            *gil_call(WORKER, "take", 100, 350),
            made.switch(110, WORKER, SLEEPING, IDLE),
            *gil_call(MAIN, "drop", 250, 330),
            made.switch(260, MAIN, SLEEPING, IDLE),
            made.switch(320, IDLE, 0, MAIN),
            *gil_call(MAIN, "take", 340, 800),
            made.switch(342, MAIN, SLEEPING, IDLE),
            made.switch(345, IDLE, 0, WORKER),
            *gil_call(WORKER, "drop", 700, 710),
            made.switch(790, IDLE, 0, MAIN),
        ),
    )
    assert [(tid, start, holder) for tid, kind, start, _, holder in waits(loaded) if kind == "gil"] == [
        (MAIN, 340, WORKER),
        (WORKER, 100, MAIN),
    ]
    assert loaded.rows("holds", "tid", "start_ns", "end_ns") == [(MAIN, 40, 250), (WORKER, 350, 700)]


def test_each_process_has_a_gil_of_its_own(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            made.born(25, CHILD, MAIN),
            *gil_call(CHILD, "take", 30, 90),
            *gil_call(WORKER, "take", 100, 320),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.probe(200, CHILD, "drop", "entry"),
            made.switch(310, IDLE, 0, WORKER),
            made.ended(400, CHILD),
        ),
    )
    assert waits(loaded) == [(WORKER, "gil", 100, 220, None)]
    assert loaded.rows("holds", "tid") == []


def test_each_subinterpreter_has_a_gil_of_its_own(tmp_path: Path) -> None:
    other, third = 102, 103
    loaded = load(
        tmp_path,
        main_and_worker(
            made.born(21, other, MAIN, THREAD),
            made.born(22, third, MAIN, THREAD),
            # The main thread and the worker want the first GIL, the two others the second.
            made.probe(30, MAIN, "take", "entry", gil=0x9900),
            made.probe(31, MAIN, "take", "return"),
            made.probe(40, other, "take", "entry", gil=0x1100),
            made.probe(41, other, "take", "return"),
            made.probe(100, WORKER, "take", "entry", gil=0x9900),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.probe(150, other, "drop", "entry"),
            made.probe(200, MAIN, "drop", "entry"),
            made.switch(310, IDLE, 0, WORKER),
            made.probe(320, WORKER, "take", "return"),
            made.probe(400, third, "take", "entry", gil=0x1100),
            made.switch(410, third, SLEEPING, IDLE),
            made.switch(490, IDLE, 0, third),
            made.probe(500, third, "take", "return"),
            made.ended(600, other),
            made.ended(610, third),
        ),
    )
    found = loaded.rows("waits", "tid", "object", "start_ns", "holder_tid")
    assert found == [(WORKER, "gil 1", 100, MAIN), (third, "gil 2", 400, other)]
    assert loaded.rows("holds", "tid", "object", "start_ns", "end_ns") == [(MAIN, "gil 1", 31, 200)]


def test_a_hold_without_a_take_has_no_start(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            *gil_call(WORKER, "take", 100, 320),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.probe(200, MAIN, "drop", "entry"),
            made.switch(310, IDLE, 0, WORKER),
        ),
    )
    assert loaded.rows("holds", "tid", "start_ns", "end_ns") == [(MAIN, None, 200)]


def test_a_hold_is_waited_for_by_who_asks_before_the_gil_is_free(tmp_path: Path) -> None:
    """The first drop returns before anybody asks, the second after the worker found the GIL still held."""
    loaded = load(
        tmp_path,
        main_and_worker(
            *gil_call(MAIN, "take", 20, 25),
            *gil_call(MAIN, "drop", 30, 35),
            *gil_call(MAIN, "take", 40, 45),
            *gil_call(MAIN, "drop", 50, 80),
            *gil_call(WORKER, "take", 60, 100),
            made.switch(65, WORKER, SLEEPING, IDLE),
            made.switch(90, IDLE, 0, WORKER),
        ),
    )
    assert waits(loaded) == [(WORKER, "gil", 60, 40, MAIN)]
    assert loaded.rows("holds", "tid", "start_ns", "end_ns") == [(MAIN, 45, 50)]


def test_functions_that_the_compiler_split_count_once(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            made.probe(100, WORKER, "take", "entry"),
            made.probe(102, WORKER, "take", "entry"),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.switch(310, IDLE, 0, WORKER),
            made.probe(318, WORKER, "take", "return"),
            made.probe(320, WORKER, "take", "return"),
        ),
    )
    assert waits(loaded) == [(WORKER, "gil", 100, 220, None)]


def test_a_take_that_never_returns_lasts_until_its_thread_ends(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(made.probe(8_000, WORKER, "take", "entry"), made.switch(8_010, WORKER, SLEEPING, IDLE)),
    )
    assert waits(loaded) == [(WORKER, "gil", 8_000, 1_000, None)]


def test_a_return_that_was_lost_is_not_made_up(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        main_and_worker(
            made.probe(50, WORKER, "take", "return"),
            made.probe(100, WORKER, "take", "entry"),
            made.switch(110, WORKER, SLEEPING, IDLE),
            made.switch(310, IDLE, 0, WORKER),
            made.probe(330, WORKER, "drop", "entry"),
            made.probe(500, WORKER, "take", "entry"),
            made.switch(510, WORKER, SLEEPING, IDLE),
            made.switch(610, IDLE, 0, WORKER),
            made.probe(620, WORKER, "take", "return"),
        ),
    )
    assert waits(loaded) == [(WORKER, "gil", 500, 120, None)]
