"""Processes that start late because of what they are handed."""

from __future__ import annotations

import pytest

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program

LIBRARY = "/usr/lib/python3.13/multiprocessing"
LAUNCH = {"function": "Popen._launch", "file": f"{LIBRARY}/popen_spawn_posix.py", "line": 38}


def program(length_ms: float = 200, **where: object) -> Program:
    """In 2 s main starts two processes, and is in a write for 200 ms each time."""
    made = Program(2_000)
    made.thread(made.pid, 300, role="main", end_ms=2_000)
    for number in range(2):
        made.child(500 + number, 300 + 500 * number, 1_900, exec_ns=made.at(302 + 500 * number))
        begin = 310 + 500 * number
        made.wait(made.pid, "io-write", begin, begin + length_ms, object="fd 5", **{**LAUNCH, **where})
    return made


def test_the_thread_that_starts_them_is_named_with_how_long_it_wrote() -> None:
    finding = only(program(), "start-data")
    assert finding.sentence == (
        "While main thread started processes it waited 400 ms in 2 writes in `Popen._launch` "
        "(multiprocessing/popen_spawn_posix.py:38): what each of them is handed is pickled and goes to it through a "
        "pipe."
    )
    assert finding.weight_ns == 400 * MS
    assert "shared_memory" in finding.advice


@pytest.mark.parametrize("file", ["connection.py", "my_popen_spawn_posix.py"])
def test_other_writes_of_the_program_are_no_start(file: str) -> None:
    assert found(program(file=f"{LIBRARY}/{file}"), "start-data") == []


def test_a_small_handover_is_not_said() -> None:
    """A hundredth of the wall is 20 ms."""
    assert found(program(length_ms=9), "start-data") == []
