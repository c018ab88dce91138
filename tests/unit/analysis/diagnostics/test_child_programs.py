"""A thread that waits for programs without Python."""

from __future__ import annotations

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program

WAIT = {"function": "Popen._try_wait", "file": "/usr/lib/python3.13/subprocess.py", "line": 1900}
READ = {"function": "Popen.communicate", "file": "/usr/lib/python3.13/subprocess.py", "line": 1100}
MAKE, CURL = 500, 501


def program() -> Program:
    """In 2 s main reads from make for 400 ms and waits for it for 10 ms more, then for curl for 300 ms."""
    made = Program(2_000)
    made.thread(made.pid, 50, role="main", end_ms=2_000)
    for pid, begin, end, name in ((MAKE, 100, 508, "make"), (CURL, 1_000, 1_305, "curl")):
        made.child(pid, begin, end, exec_ns=made.at(begin + 1), executable=f"/usr/bin/{name}")
    made.wait(made.pid, "io-read", 105, 505, object="fd 7", **READ)
    made.wait(made.pid, "child-wait", 506, 516, object=f"pid {MAKE}", **WAIT)
    made.wait(made.pid, "child-wait", 1_010, 1_310, object=f"pid {CURL}", **WAIT)
    return made


def test_the_programs_are_counted_and_the_longest_is_named() -> None:
    finding = only(program(), "child-programs")
    assert finding.sentence == (
        "For 710 ms of 2.00 s (36 %) main thread waited for 2 programs, the longest for make 500 (410 ms): what it did "
        "is not recorded."
    )
    assert finding.weight_ns == 710 * MS


def test_a_child_of_python_has_its_own_times() -> None:
    made = program()
    for pid in (MAKE, CURL):
        made.thread(pid, pid=pid, start_ms=100, end_ms=1_300)
    assert found(made, "child-programs") == []


def test_a_wait_for_nobody_is_not_for_a_program() -> None:
    """A read of subprocess when none of its programs lived; and a tenth of the wall is the least."""
    made = program()
    made.maker.rows["processes"] = [row for row in made.maker.rows["processes"] if row["pid"] not in (MAKE, CURL)]
    assert found(made, "child-programs") == []
    made = program()
    made.run["wall_ns"] = 7_200 * MS
    assert found(made, "child-programs") == []


def test_a_wait_for_a_child_of_python_is_not_for_the_program_that_ran_meanwhile() -> None:
    made = program()
    for row in made.maker.rows["waits"]:
        row.update(kind="child-wait", object="pid 600")
    assert found(made, "child-programs") == []
