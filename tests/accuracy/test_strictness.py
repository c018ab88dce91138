"""Failures must not be hidden: what fails is neither tried again until it fits nor hidden in a sum."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from tests.accuracy.run_factory import PLACE, made
from tests.table_factory import MS
from tracekit.accuracy import capture_cost, runner
from tracekit.accuracy.cases import Case
from tracekit.accuracy.checks import ledger
from tracekit.accuracy.comparison import Comparison
from tracekit.system import interpreters


@pytest.mark.parametrize(
    ("verdicts", "runs", "last"),
    [
        (["ok,ok"], 1, ["ok", "ok"]),
        (["inconclusive,ok", "ok,ok"], 2, ["ok", "ok"]),
        (["inconclusive,ok"] * 3, 3, ["inconclusive", "ok"]),
        (["inconclusive,fail", "ok,ok"], 1, ["inconclusive", "fail"]),
        (["inconclusive,ok", "fail,ok", "ok,ok"], 2, ["fail", "ok"]),
    ],
)
def test_a_run_is_repeated_for_what_is_inconclusive_and_never_for_what_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], runs: int, last: list[str]
) -> None:
    watch_case = mock.Mock(return_value=made())
    monkeypatch.setattr(runner, "watch_case", watch_case)

    def compare(_seen: object) -> list[Comparison]:
        return [
            PLACE.compare("gil-kernel", "thread", verdict) for verdict in verdicts[watch_case.call_count - 1].split(",")
        ]

    case = Case(name="made", program="made")
    rows = runner._checked(case, interpreters.inspect_own(), "waits", [compare], tmp_path)
    assert watch_case.call_count == runs
    assert [row.verdict for row in rows] == ["ok", *last]


def test_what_one_thread_has_too_much_does_not_hide_what_another_lacks() -> None:
    plain = {"quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "thread_wall_ns", "scope": "run", "value": 1000.0 * MS},
        {**plain, "metric": "unattributed_ns", "scope": "run", "value": 0.0},
        {**plain, "metric": "unattributed_ns", "scope": "thread", "value": 50.0 * MS},
        {**plain, "metric": "unattributed_ns", "scope": "thread", "value": -50.0 * MS},
    ]
    [row] = ledger.compare_unattributed(made(metrics=metrics))
    assert (row.verdict, row.measured) == ("fail", 0.1)


def test_a_cost_that_was_not_read_is_not_a_cost_of_nothing() -> None:
    subject = capture_cost.SUBJECTS[0]
    assert capture_cost.judge_pairs(PLACE, "effect", subject, [(0.0, 100.0)] * 30).verdict == "unavailable"
