"""A thread that mostly reads and writes."""

from __future__ import annotations

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, JOIN, QUEUE_GET, found, only
from tests.unit.analysis.metrics.watched_program import Program

FETCH = {"function": "fetch", "file": APP, "line": 10, "object": "fd 5"}
WORKER = 12


def program() -> Program:
    """It takes 1 s; main has a worker."""
    made = Program(1_000)
    made.thread(made.pid, 50, role="main", end_ms=1_000)
    made.thread(WORKER, 50, end_ms=1_000, name="worker")
    return made


def test_the_thread_is_named_with_the_function_in_which_it_reads() -> None:
    made = program()
    for begin in range(0, 400, 100):
        made.wait(made.pid, "io-read", begin, begin + 80, **FETCH)
        made.wait(made.pid, "io-write", begin + 80, begin + 90, function="store", file=APP, line=20, object="fd 6")
    finding = only(made, "io-bound")
    assert finding.sentence == (
        "For 360 ms of 1.00 s (36 %) main thread was in reads and writes, 8 times: 320 ms of that in reads in `fetch` "
        "(me/app.py:10)."
    )
    assert finding.weight_ns == 360 * MS
    assert "ThreadPoolExecutor" in finding.advice


def test_one_long_answer_cannot_be_overlapped() -> None:
    made = program()
    made.wait(made.pid, "io-read", 100, 900, **FETCH)
    finding = only(made, "io-bound")
    assert ", 1 time: 800 ms of that" in finding.sentence
    assert "answers so late" in finding.advice


LAUNCH = {"function": "Popen._launch", "file": "/usr/lib/python3.13/multiprocessing/popen_spawn_posix.py", "line": 38}


@pytest.mark.parametrize(
    "wait",
    [{**FETCH, "object": "fd 0"}, {**QUEUE_GET, "object": "fd 5"}, LAUNCH],
    ids=["stdin", "idle", "a process that starts"],
)
def test_who_reads_the_keyboard_or_a_queue_or_starts_processes_is_not_bound_by_io(wait: dict[str, object]) -> None:
    made = program()
    made.wait(made.pid, "io-read", 100, 900, **wait)
    assert found(made, "io-bound") == []


def test_a_worker_that_is_in_one_read_for_most_of_its_life_waits_for_work() -> None:
    made = program()
    made.wait(WORKER, "io-read", 100, 650, **FETCH)
    made.wait(made.pid, "lock", 10, 900, **JOIN)
    assert found(made, "io-bound") == []
    made.wait(WORKER, "io-read", 700, 900, **FETCH)
    assert only(made, "io-bound").sentence.startswith("For 200 ms of 1.00 s (20 %) worker was in reads")


def test_a_fifth_of_the_wall_is_the_least() -> None:
    made = program()
    made.wait(made.pid, "io-read", 100, 299, **FETCH)
    assert found(made, "io-bound") == []


SEND = {"function": "Connection._send", "file": "/usr/lib/python3.13/multiprocessing/connection.py", "object": "fd 7"}


def test_a_thread_that_hands_out_work_to_processes_waits_until_they_take_it() -> None:
    """As that of a pool: its workers have enough to do. The main thread that sends is kept from its own."""
    made = program()
    for begin in range(0, 900, 100):
        made.wait(WORKER, "io-write", begin, begin + 90, **SEND)
    assert found(made, "io-bound") == []
    for begin in range(0, 900, 100):
        made.wait(made.pid, "io-write", begin, begin + 80, **SEND)
    finding = only(made, "io-bound")
    assert finding.sentence.startswith("For 720 ms of 1.00 s (72 %) main thread was in reads and writes, 9 times")
    assert "shared_memory" in finding.advice


def test_many_small_writes_to_another_process_are_small_pieces_of_work() -> None:
    made = program()
    for turn in range(500):
        made.wait(made.pid, "io-write", 2 * turn, 2 * turn + 0.9, **SEND)
    assert "chunksize" in only(made, "io-bound").advice


def test_threads_that_read_side_by_side_are_told_and_more_threads_are_no_news() -> None:
    made = program()
    for tid in (WORKER, 13, 14):
        if tid != WORKER:
            made.thread(tid, 50, end_ms=1_000)
        for begin in range(0, 900, 100):
            made.wait(tid, "io-read", begin, begin + (90 if tid == WORKER else 80 if tid == 13 else 20), **FETCH)
    finding = only(made, "io-bound")
    assert finding.sentence.endswith(
        "810 ms of that in reads in `fetch` (me/app.py:10). So was 1 other thread, for 720 ms in all."
    )
    assert finding.advice.startswith("let more be under way")
