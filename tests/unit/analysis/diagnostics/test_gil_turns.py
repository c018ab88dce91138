"""Threads that compute in Python take turns."""

from __future__ import annotations

from typing import Any

from tests.table_factory import ENVIRONMENT, MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program

FIRST, SECOND, THIRD = 11, 12, 13


def program(threads: int = 2, second_cpu_ms: int = 490, **environment: Any) -> Program:
    """In 1 s `threads` threads take turns of 5 ms."""
    made = Program(1_000)
    made.maker.facts["environments"] = [{**ENVIRONMENT, **environment}]
    made.thread(made.pid, role="main", end_ms=1_000)
    tids = list(range(FIRST, FIRST + threads))
    for tid in tids:
        cpu_ms = second_cpu_ms if tid == SECOND else 980 // threads
        made.thread(tid, cpu_ms, end_ms=1_000, name=f"hog {tid - 10}")
    for turn in range(200):
        holder, begin = tids[turn % threads], 5 * turn
        made.hold(holder, begin, begin + 5)
        for tid in tids:
            if tid != holder and (turn + 1) % threads == (tid - FIRST) % threads:
                made.wait(tid, "gil", max(0, begin - 5 * (threads - 2)), begin + 5, holder_tid=holder)
    return made


def test_threads_that_take_turns_are_named_with_what_processes_would_save() -> None:
    finding = only(program(), "gil-turns")
    assert finding.sentence == (
        "2 threads of main computed in Python and took turns: they used 980 ms of CPU time (hog 1 490 ms and hog 2 "
        "490 ms) and waited 1.00 s for the GIL."
    )
    assert finding.weight_ns == 490 * MS
    assert "ProcessPoolExecutor" in finding.advice


def test_what_is_saved_is_bounded_by_the_cpus() -> None:
    """Three threads on two CPUs: half of 306 + 306 + 326 ms, though each waited twice as long."""
    made = program(threads=3, second_cpu_ms=326)
    assert only(made, "gil-turns").weight_ns == 489 * MS
    assert found(program(usable_cpus=1), "gil-turns") == []


def test_one_thread_that_computes_beside_one_that_hardly_does_takes_no_turns() -> None:
    assert found(program(second_cpu_ms=90), "gil-turns") == []


def test_the_threads_of_a_pool_of_processes_hand_out_work_that_is_too_small() -> None:
    """With one of the program's own among them they are threads that compute."""
    names = ["Thread-2 (_handle_tasks)", "Thread-3 (_handle_results)", "hog"]
    for count, said in ((2, "chunksize"), (3, "ProcessPoolExecutor")):
        made = program(threads=count)
        for row, name in zip(made.maker.rows["threads"][1:], names, strict=False):
            row["name"] = name
        assert said in only(made, "gil-turns").advice


def test_threads_without_a_gil_take_no_turns() -> None:
    made = program()
    made.maker.rows["waits"] = []
    made.maker.rows["holds"] = []
    assert found(made, "gil-turns") == []
