"""A proof must not pass by looking away: what is off is neither tried again until it fits nor hidden in a sum."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from tests.accuracy.made_answers import PLACE, made
from tests.table_factory import MS
from tracekit.accuracy import effect, proof
from tracekit.accuracy.cases import Case
from tracekit.accuracy.checks import ledger
from tracekit.accuracy.rows import Row
from tracekit.system import interpreters


@pytest.mark.parametrize(
    ("verdicts", "runs", "last"),
    [
        (["ok,ok"], 1, ["ok", "ok"]),
        (["unclear,ok", "ok,ok"], 2, ["ok", "ok"]),
        (["unclear,ok"] * 3, 3, ["unclear", "ok"]),
        (["unclear,off", "ok,ok"], 1, ["unclear", "off"]),
        (["unclear,ok", "off,ok", "ok,ok"], 2, ["off", "ok"]),
    ],
)
def test_a_run_is_made_again_for_what_is_unclear_and_never_for_what_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], runs: int, last: list[str]
) -> None:
    watch = mock.Mock(return_value=made())
    monkeypatch.setattr(proof, "watch", watch)

    def compare(_seen: object) -> list[Row]:
        return [PLACE.row("gil-kernel", "thread", verdict) for verdict in verdicts[watch.call_count - 1].split(",")]

    case = Case(name="made", program="made")
    rows = proof._checked(case, interpreters.own(), "waits", [compare], tmp_path)
    assert watch.call_count == runs
    assert [row.verdict for row in rows] == ["ok", *last]


def test_what_one_thread_has_too_much_does_not_hide_what_another_lacks() -> None:
    plain = {"quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "thread_wall_ns", "scope": "run", "value": 1000.0 * MS},
        {**plain, "metric": "unattributed_ns", "scope": "run", "value": 0.0},
        {**plain, "metric": "unattributed_ns", "scope": "thread", "value": 50.0 * MS},
        {**plain, "metric": "unattributed_ns", "scope": "thread", "value": -50.0 * MS},
    ]
    [row] = ledger.unattributed(made(metrics=metrics))
    assert (row.verdict, row.measured) == ("off", 0.1)


def test_a_cost_that_was_not_read_is_not_a_cost_of_nothing() -> None:
    subject = effect.SUBJECTS[0]
    assert effect.judged(PLACE, "effect", subject, [(0.0, 100.0)] * 30).verdict == "unavailable"
