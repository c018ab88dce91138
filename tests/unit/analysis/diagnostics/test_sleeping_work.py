"""Threads whose work is mostly sleep."""

from __future__ import annotations

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, QUEUE_GET, found, only
from tests.unit.analysis.metrics.watched_program import Program

SLEEPS = {"function": "handle", "file": APP, "line": 7}
SELECT = {"function": "EpollSelector.select", "file": "/usr/lib/python3.13/selectors.py", "line": 435}
FIRST, SECOND = 12, 13


def program(kind: str = "lock", gets: int = 10, sleep_ms: int = 60, **get: object) -> Program:
    """In 1 s two workers sleep 10 times for 60 ms and for 50 ms, after `gets` waits for an item of 30 ms each."""
    made = Program(1_000)
    made.maker.rows["processes"][0]["cpu_ns"] = 10 * MS
    made.thread(made.pid, 5, role="main", end_ms=1_000)
    made.wait(made.pid, "sleep", 0, 990, function="<module>", file=APP, line=20)
    for tid, ms in ((FIRST, sleep_ms), (SECOND, sleep_ms - 10)):
        made.thread(tid, 2, end_ms=1_000, name=f"worker {tid - FIRST}")
        for turn in range(10):
            if turn < gets:
                made.wait(tid, kind, 100 * turn, 100 * turn + 30, **(get or QUEUE_GET))
            made.wait(tid, "sleep", 100 * turn + 31, 100 * turn + 31 + ms, **SLEEPS)
    return made


def test_the_thread_that_slept_longest_is_named_and_the_run_is_not_idle() -> None:
    finding = only(program(), "sleeping-work")
    assert finding.sentence == (
        "Between waits for work worker 0 slept for 600 ms of 1.00 s (60 %), 10 times: 600 ms of that in `handle` "
        "(me/app.py:7). So did 1 other thread, for 500 ms."
    )
    assert finding.weight_ns == 600 * MS
    assert found(program(), "idle-run") == []


def test_a_worker_that_polls_for_its_next_request_takes_work() -> None:
    """As gunicorn's, which polls until the client has closed; of a loop's own selector event-loop speaks."""
    made = program("poll", function="close_graceful", file="/venv/gunicorn/util.py")
    assert "in `handle`" in only(made, "sleeping-work").sentence


@pytest.mark.parametrize(
    "made",
    [program(gets=4), program(sleep_ms=19), program("poll", **SELECT)],
    ids=["a ticker", "short", "an event loop"],
)
def test_what_sleeps_without_taking_work_is_not_said(made: Program) -> None:
    assert found(made, "sleeping-work") == []
