"""One of several sibling processes works while the others wait for work."""

from __future__ import annotations

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program

LIBRARY = "/usr/lib/python3.13/multiprocessing"
RECV = {"function": "Connection._recv", "file": f"{LIBRARY}/connection.py", "line": 390}
LOCK = {"function": "SemLock.__enter__", "file": f"{LIBRARY}/synchronize.py", "line": 94}


def program(rests: tuple[float, ...] = (100, 700, 800), **lives: float) -> Program:
    """In 1 s its workers, forked at 50 ms and gone at 950 ms, wait for work for so long."""
    made = Program(1_000)
    made.thread(made.pid, 10, role="main", end_ms=1_000)
    for number, rest_ms in enumerate(rests):
        pid, end_ms = 500 + number, lives.get(f"end_{number}", 950)
        made.child(pid, 50, end_ms)
        made.thread(pid, pid=pid, start_ms=50, end_ms=end_ms)
        place = LOCK if number == 2 else RECV
        made.wait(pid, "lock" if number == 2 else "io-read", 51, 51 + rest_ms, pid=pid, **place)
    return made


def test_the_one_that_works_is_named_with_how_little_the_others_do() -> None:
    """An even share of 800, 200 and 100 ms is 366 ms, 434 ms less than the busiest one worked."""
    finding = only(program(), "uneven-workers")
    assert finding.sentence == (
        "Of 3 sibling processes one worked nearly all the time: process 500 for 800 ms of the 900 ms that it lived. "
        "The others mostly waited for work: they worked for 100 ms to 200 ms."
    )
    assert only(program((100, 700)), "uneven-workers").sentence.endswith(
        "The other mostly waited for work: it worked for 200 ms."
    )
    assert finding.weight_ns == pytest.approx(434 * MS, abs=MS)
    assert "chunksize=1" in finding.advice


@pytest.mark.parametrize("rests", [(100, 400, 500), (300, 800, 800), (100,)], ids=["even", "all rest", "alone"])
def test_workers_that_share_the_work_or_all_rest_are_even(rests: tuple[float, ...]) -> None:
    assert found(program(rests), "uneven-workers") == []


def test_a_sibling_that_lived_shortly_was_not_there_to_help() -> None:
    assert found(program((100, 350), end_1=450), "uneven-workers") == []


def test_workers_that_live_one_after_another_were_not_there_to_help() -> None:
    """As with max_tasks_per_child: of three, each of 250 ms, the busiest one works for 240, the others for 60."""
    for starts, speaks in (((50, 350, 650), False), ((50, 60, 70), True)):
        made = Program(1_000)
        made.thread(made.pid, 10, role="main", end_ms=1_000)
        for pid, start in zip((500, 501, 502), starts, strict=True):
            made.child(pid, start, start + 250)
            made.thread(pid, pid=pid, start_ms=start, end_ms=start + 250)
            made.wait(pid, "io-read", start + 1, start + (11 if pid == 500 else 191), pid=pid, **RECV)
        assert bool(found(made, "uneven-workers")) is speaks


def test_what_multiprocessing_runs_beside_them_is_no_worker() -> None:
    made = program((100, 700))
    made.maker.rows["processes"][-1]["name"] = "resource tracker"
    assert found(made, "uneven-workers") == []


def test_a_worker_of_celery_that_waits_for_the_lock_of_its_queue_rests() -> None:
    """Of two readers one waits in the queue, the other for its lock; with another lock it may work."""
    for package, speaks in (("billiard", False), ("app", True)):
        made = program((800, 700))
        for row in made.maker.rows["waits"]:
            if row["pid"] == 500:
                row.update(kind="lock", function="SemLock.__enter__", file=f"/venv/{package}/synchronize.py")
        made.wait(500, "sleep", 860, 861, pid=500)
        assert bool(found(made, "uneven-workers")) is speaks
