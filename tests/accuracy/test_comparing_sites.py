"""The comparison of the functions that waits and holds are booked to, on tables made by hand."""

from __future__ import annotations

import pytest

from tests.accuracy.run_factory import T0, TID, answers, made, thread, wait
from tests.table_factory import MS
from tracekit.accuracy.checks import sites
from tracekit.accuracy.known_answers import ActiveFunction

SPIN = {"function": "spin", "file": "/any/where/made.py"}


def test_sites_are_right_when_no_wait_is_booked_elsewhere() -> None:
    known = answers(thread(sites={"gil": ["made.py:spin", "made.py:other"]}))
    found = [wait("gil", 1, 5, **SPIN), wait("gil", 10, 5, function="Thread.end", file="known.py")]
    assert [row.verdict for row in sites.compare_sites(made(known=known, waits=found))] == ["ok"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"function": "spun", "file": "/any/where/made.py"},
        {"function": "spin", "file": "/any/where/else.py"},
        {"function": None, "file": None},
    ],
)
def test_a_wait_in_another_function_or_file_or_in_none_fails(wrong: dict[str, str | None]) -> None:
    known = answers(thread(sites={"gil": ["made.py:spin"]}))
    found = [wait("gil", 1, 5, **SPIN), wait("gil", 10, 5, **wrong)]
    [row] = sites.compare_sites(made(known=known, waits=found))
    assert row.verdict == "fail"
    assert row.measured == pytest.approx(0.5)


def test_old_code_objects_have_no_qualified_names() -> None:
    place = "threading.py:Condition.wait"
    found = [wait("lock", 1, 5, function="wait", file="/lib/threading.py")]
    for version, verdict in (((3, 10, 1), "ok"), ((3, 11, 1), "fail")):
        known = answers(thread(sites={"lock": [place]}), python=version)
        assert [row.verdict for row in sites.compare_sites(made(known=known, waits=found))] == [verdict]


def test_holds_are_judged_by_where_they_ended() -> None:
    known = answers(thread(holds=["made.py:spin"]))
    hold = {"start_ns": None, "end_ns": T0 + MS, "method": "waits-probe", "object": "g"}
    assert [row.verdict for row in sites.compare_sites(made(known=known, holds=[{**hold, **SPIN}]))] == ["ok"]
    assert [
        row.verdict for row in sites.compare_sites(made(known=known, holds=[{**hold, **SPIN, "function": "f"}]))
    ] == ["fail"]


def test_a_python_without_sites_gives_no_verdict() -> None:
    known = answers(thread(sites={"gil": ["made.py:spin"]}))
    assert [row.verdict for row in sites.compare_sites(made(known=known, waits=[wait("gil", 1, 5)]))] == ["unavailable"]


ACTIVE = (
    ActiveFunction(tid=TID, start_ns=T0, end_ns=T0 + 10 * MS, name="executed_0"),
    ActiveFunction(tid=TID, start_ns=T0 + 11 * MS, end_ns=T0 + 20 * MS, name="executed_1"),
)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ({"function": "executed_1", "file": "<executed 1>"}, "ok"),
        ({"function": "churn", "file": "/x/comes_and_goes.py"}, "ok"),
        ({"function": "executed_0", "file": "<executed 0>"}, "fail"),
        ({"function": "executed_1", "file": "<executed 0>"}, "fail"),
    ],
)
def test_a_function_that_is_gone_must_not_be_named(second: dict[str, str], verdict: str) -> None:
    found = [wait("gil", 1, 5, function="executed_0", file="<executed 0>"), wait("gil", 12, 5, **second)]
    [row] = sites.compare_changing_code(made(known=answers(active=ACTIVE), waits=found))
    assert row.verdict == verdict, row.reason


def test_naming_nothing_is_not_naming_rightly() -> None:
    [row] = sites.compare_changing_code(made(known=answers(active=ACTIVE), waits=[wait("gil", 1, 5)]))
    assert row.verdict == "fail"
