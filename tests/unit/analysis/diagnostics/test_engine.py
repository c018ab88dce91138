"""All diagnostics of a run, ranked by the time that could be won back."""

from __future__ import annotations

from tests.unit.analysis.diagnostics.found import diagnosis
from tests.unit.analysis.diagnostics.test_long_gil_holds import MATCH, TICKER
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.diagnostics import ABOUT_THE_GIL, DIAGNOSTICS
from tracekit.analysis.diagnostics.engine import MOST_SAID, load_diagnostic


def test_each_diagnostic_has_the_name_under_which_it_is_found() -> None:
    assert [load_diagnostic(name).name for name in DIAGNOSTICS] == list(DIAGNOSTICS)
    assert set(ABOUT_THE_GIL) < set(DIAGNOSTICS)


def test_the_most_time_comes_first_and_only_so_many_are_said() -> None:
    """Seven holders, one after the other; of each the ticker waits 10 ms longer than of the one before."""
    made = Program(1_000)
    made.thread(TICKER, 5, end_ms=1_000, name="ticker")
    for number in range(1, 8):
        begin, holder = 100 * number, 100 + number
        place = {**MATCH, "function": f"match {number}"}
        made.thread(holder, 100, end_ms=1_000, name=f"hog {number}")
        made.hold(holder, begin, begin + 20 + 10 * number, **place)
        made.wait(TICKER, "gil", begin, begin + 20 + 10 * number, holder_tid=holder)
    found = diagnosis(made)
    assert [finding.weight_ns for finding in found.said] == [90_000_000 - 10_000_000 * number for number in range(5)]
    assert (len(found.said), found.unsaid) == (MOST_SAID, 2)
    assert "by hog 7 in `match 7`" in found.said[0].sentence
