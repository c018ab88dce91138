"""A thread that was ready and had no CPU."""

from __future__ import annotations

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program


def program(queue_ms: int = 300, whole_ms: int = 700) -> Program:
    """In 1 s main is on one of 2 CPUs for 700 ms; the whole program uses as much, unless told otherwise."""
    made = Program(1_000)
    made.maker.rows["processes"][0]["cpu_ns"] = whole_ms * MS
    made.thread(made.pid, 700, role="main", end_ms=1_000, run_queue_wait_ns=queue_ms * MS)
    made.steal(0)
    return made


def test_where_fewer_threads_compute_than_there_are_cpus_others_had_them() -> None:
    finding = only(program(), "no-cpu")
    assert finding.sentence == (
        "For 300 ms of 1.00 s (30 %) main thread was ready and had no CPU: the program kept 0.70 of 2 CPUs busy, with "
        "no more threads that compute than CPUs, so others had them."
    )
    assert finding.weight_ns == 300 * MS
    assert "nothing else to do" in finding.advice


@pytest.mark.parametrize(
    ("whole_ms", "said", "advice"),
    [(1_900, "1.90 of 2 CPUs busy.", "OMP_NUM_THREADS"), (900, "0.90 of 2 CPUs busy on average.", "start fewer")],
)
def test_where_more_compute_the_program_may_have_had_them_itself(whole_ms: int, said: str, advice: str) -> None:
    """On average it may leave CPUs free that it wanted all at once."""
    made = program(whole_ms=whole_ms)
    for tid in (12, 13):
        made.thread(tid, 60, end_ms=1_000, role="native")
    finding = only(made, "no-cpu")
    assert finding.sentence.endswith(f"the program kept {said}")
    assert advice in finding.advice


def test_a_tenth_of_the_wall_is_the_least_and_what_lies_in_waits_is_not_counted() -> None:
    assert found(program(queue_ms=90), "no-cpu") == []
    made = program()
    made.wait(made.pid, "lock", 0, 250)
    assert found(made, "no-cpu") == []


@pytest.mark.parametrize(("read_ms", "least_ms"), [(950, [250]), (750, [])])
def test_of_a_killed_thread_what_follows_its_last_reading_may_have_been_on_a_cpu(
    read_ms: int, least_ms: list[int]
) -> None:
    """It waited 300 ms in the run queue, as far as that was read: less the time that was not."""
    made = program()
    made.maker.rows["threads"][0].update(cpu_ns=400 * MS, cpu_read_ns=made.at(read_ms))
    assert [finding.weight_ns for finding in found(made, "no-cpu")] == [ms * MS for ms in least_ms]
