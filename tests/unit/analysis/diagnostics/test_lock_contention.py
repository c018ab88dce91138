"""Threads that wait for a lock which another thread keeps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, QUEUE_GET, found, only
from tests.unit.analysis.metrics.watched_program import Program

OWNER, FIRST, SECOND = 11, 12, 13
WANTS = {"function": "wants_it", "file": APP, "line": 9}
KEEPS = {"function": "keeps_it", "file": APP, "line": 5}


def lock_wait(made: Program, tid: int, start: float, end: float, waker: int, by: dict[str, Any], **of: Any) -> None:
    """A wait for a lock that `waker` ended, in the function `by`."""
    place = {"object": "0x5500", **WANTS, **of}
    made.wait(tid, "lock", start, end, **place)
    ids = {"run_id": made.run["run_id"], "pid": made.pid, "tid": tid, "waker_tid": waker}
    stamps = {"start_ns": made.at(start), "woken_ns": made.at(end)}
    made.maker.row("wakeups", **ids, **stamps, object=place["object"], **by)


def program(second_by: int = FIRST, second_in: dict[str, Any] = WANTS, **of: Any) -> Program:
    """In 1 s `owner` keeps the lock four times for 100 ms; each time `first` gets it then, and 2 ms later `second`."""
    made = Program(1_000)
    for tid, name in ((OWNER, "owner"), (FIRST, "first"), (SECOND, "second")):
        made.thread(tid, 5, end_ms=1_000, name=name)
    for begin in (100, 300, 500, 700):
        lock_wait(made, FIRST, begin, begin + 100, OWNER, KEEPS, **of)
        lock_wait(made, SECOND, begin, begin + 102, second_by, second_in, **of)
    return made


def test_who_waited_is_named_with_who_kept_the_lock_most_of_the_time() -> None:
    """`first` released it last, but had it for 2 ms only."""
    finding = only(program(), "lock-contention")
    assert finding.sentence == (
        "For one lock (or `queue.SimpleQueue`, which waits like one) in `wants_it` (me/app.py:9) second waited 408 ms, "
        "in 4 waits, and 1 other thread less: for 98 % of that until owner released it in `keeps_it` (me/app.py:5)."
    )
    assert finding.weight_ns == 408 * MS
    assert "in `keeps_it`" in finding.advice


def test_a_queue_whose_consumers_never_give_anything_is_no_lock() -> None:
    """As queue.SimpleQueue.get in a function of the program."""
    assert found(program(second_by=OWNER, second_in=KEEPS), "lock-contention") == []


def test_a_queue_whose_consumers_wake_one_another_in_vain_is_no_lock() -> None:
    """Who got the only item wakes the next one, who waits again; the next item comes from the owner."""
    made = Program(1_000)
    for tid, name in ((OWNER, "owner"), (FIRST, "first"), (SECOND, "second")):
        made.thread(tid, 5, end_ms=1_000, name=name)
    made.thread(SECOND + 1, 5, end_ms=1_000)
    for begin in range(0, 800, 200):
        lock_wait(made, FIRST, begin + 1, begin + 100, OWNER, KEEPS)
        lock_wait(made, SECOND, begin + 2, begin + 101, FIRST, WANTS)
        lock_wait(made, SECOND, begin + 101.1, begin + 200, OWNER, KEEPS)
        lock_wait(made, SECOND + 1, begin + 90, begin + 195, OWNER, KEEPS)
    assert found(made, "lock-contention") == []


@pytest.mark.parametrize("of", [QUEUE_GET, {"function": None, "file": None}])
def test_waits_in_queues_of_the_standard_library_and_without_a_function_are_not_counted(of: dict[str, Any]) -> None:
    assert found(program(**of), "lock-contention") == []


def test_locks_of_one_function_are_told_apart() -> None:
    """As a row of locks has: nobody who waited for one of them released it to another thread."""
    made = program()
    for table in ("waits", "wakeups"):
        for row in made.maker.rows[table]:
            row["object"] = hex(0x7000 + row["tid"])
    assert found(made, "lock-contention") == []


def test_waits_whose_end_nobody_recorded_say_nothing() -> None:
    made = program()
    made.maker.rows["wakeups"] = []
    assert found(made, "lock-contention") == []
