"""A thread that hardly computes and waits for the GIL each time that it comes back from a wait."""

from __future__ import annotations

from tests.table_factory import MS
from tests.unit.analysis.diagnostics.found import APP, found, only
from tests.unit.analysis.metrics.watched_program import Program

HOG, TICKER, OTHER = 11, 12, 13
COMPUTE = {"function": "parse", "file": APP, "line": 5}


def program(times: int = 20, sleeps: bool = True, cpu_ms: int = 10, of_hog: int = 20) -> Program:
    """In 1 s `ticker` sleeps 20 times for 20 ms, after which it waits 5 ms for the GIL, which `parse_reports` has in
    `of_hog` of them, for another thread in the others."""
    made = Program(1_000)
    made.thread(made.pid, role="main", end_ms=1_000)
    made.thread(HOG, 900, end_ms=1_000, name="parse_reports")
    made.thread(OTHER, 20, end_ms=1_000, name="other")
    made.thread(TICKER, cpu_ms, end_ms=1_000, name="ticker")
    for number in range(times):
        begin = 30 * number
        if sleeps:
            made.wait(TICKER, "sleep", begin, begin + 20)
        holder = HOG if number < of_hog else OTHER
        made.wait(TICKER, "gil", begin + 20.01, begin + 25, holder_tid=holder)
        made.hold(holder, begin, begin + 25, **COMPUTE)
    return made


def test_the_thread_that_comes_back_and_the_one_that_has_the_gil_are_named() -> None:
    finding = only(program(), "gil-convoy")
    assert finding.sentence == (
        "20 times ticker came back from a wait and then waited for the GIL, 4.99 ms on average, to use 10.0 ms of CPU "
        "time in all. For 99.8 ms parse_reports held it, mostly in `parse` (me/app.py:5), and gave it up when it was "
        "asked to."
    )
    assert finding.weight_ns == 99.8 * MS
    assert "what parse_reports computes" in finding.advice


def test_a_pool_thread_that_has_the_gil_hands_out_pieces_that_are_too_small() -> None:
    made = program()
    made.maker.rows["threads"][1]["name"] = "Thread-1 (_handle_workers)"
    assert "chunksize" in only(made, "gil-convoy").advice


def test_a_thread_that_computes_itself_is_in_no_convoy() -> None:
    assert found(program(cpu_ms=30), "gil-convoy") == []


def test_a_thread_that_may_have_computed_is_in_no_convoy() -> None:
    """It was killed 16 ms after its clock was read; at most 26 ms, then 18."""
    made = program()
    made.maker.rows["threads"][-1]["cpu_read_ns"] = made.at(984)
    assert found(made, "gil-convoy") == []
    made.maker.rows["threads"][-1]["cpu_read_ns"] = made.at(992)
    assert "to use at most 18.0 ms of CPU time" in only(made, "gil-convoy").sentence


def test_a_thread_that_comes_from_no_wait_is_in_no_convoy() -> None:
    assert found(program(sleeps=False), "gil-convoy") == []


def test_a_gil_that_several_had_in_turn_has_no_hog() -> None:
    """The third holder has as much of it as each of the others."""
    made = program(of_hog=9)
    assert only(made, "gil-convoy").sentence.count("For 54.9 ms other held it") == 1
    for row in made.maker.rows["holds"][:3] + made.maker.rows["holds"][15:]:
        row["tid"] = OTHER + 1
    for row in [row for row in made.maker.rows["waits"] if row["kind"] == "gil"][:3]:
        row["holder_tid"] = OTHER + 1
    for row in [row for row in made.maker.rows["waits"] if row["kind"] == "gil"][15:]:
        row["holder_tid"] = OTHER + 1
    assert found(made, "gil-convoy") == []


def test_few_waits_are_no_convoy() -> None:
    assert found(program(times=9), "gil-convoy") == []


def test_of_several_threads_behind_one_hog_only_the_one_that_waited_longest_is_said() -> None:
    made = program()
    made.thread(14, 5, end_ms=1_000, name="second")
    for number in range(15):
        begin = 30 * number
        made.wait(14, "io-read", begin, begin + 20)
        made.wait(14, "gil", begin + 20.01, begin + 25, holder_tid=HOG)
    assert "ticker came back" in only(made, "gil-convoy").sentence
