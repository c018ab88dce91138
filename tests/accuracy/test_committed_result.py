"""docs/accuracy.json, the result that README and docs show: it is whole."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tracekit.accuracy.capture_cost import SUBJECTS
from tracekit.accuracy.comparison import COSTS, list_uncompared
from tracekit.accuracy.result import AccuracyResult, read_result

VERSIONS = ("3.9", "3.11", "3.13", "3.14", "3.15", "3.15t")


@pytest.fixture(scope="module")
def result() -> AccuracyResult:
    return read_result(ROOT / "docs" / "accuracy.json")


def test_it_is_of_every_python_that_it_has_to_be_of(result: AccuracyResult) -> None:
    made = {group.python for group in result.groups}
    short = {".".join(label.split(".")[:2]) + ("t" if label.endswith("t") else "") for label in made}
    assert short >= set(VERSIONS)


def test_no_measured_metric_lacks_a_comparison(result: AccuracyResult) -> None:
    assert result.compared is not None, "made before it was recorded: make accuracy"
    assert list_uncompared(result.compared) == []


def test_every_cost_is_in_it(result: AccuracyResult) -> None:
    measured = {(row.program, row.what) for row in result.rows if row.check in COSTS}
    assert {(subject.name, subject.capture) for subject in SUBJECTS} <= measured
