"""What becomes of the comparisons: how the pairs of a cost are judged, the result in its file, and its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.accuracy.run_factory import PLACE
from tracekit.accuracy import capture_cost
from tracekit.accuracy.comparison import COSTS, Comparison
from tracekit.accuracy.paired_runs import PairedWork, RunCost
from tracekit.accuracy.result import ComparisonGroup, compute_tolerance_used, make_result, read_result, write_result
from tracekit.accuracy.table import format_comparison, format_summary, markdown
from tracekit.core.errors import BundleCorrupt
from tracekit.system import interpreters


@pytest.mark.parametrize(
    ("with_ns", "verdict"),
    [
        ([100.0] * 9, "ok"),
        ([100.9] * 9, "ok"),
        ([101.1] * 9, "fail"),
        ([95.0, 96.0, 97.0, 104.0, 105.0, 106.0, 103.0, 99.0, 100.0], "inconclusive"),
        ([100.0] * 19 + [300.0], "ok"),
    ],
)
def test_a_cost_is_judged_by_the_pairs_ratios(with_ns: list[float], verdict: str) -> None:
    subject = capture_cost.Subject(work=capture_cost.make_workload("spin", "serial"), capture="waits", most=0.01)
    row = capture_cost.judge_pairs(PLACE, "effect", subject, [(value, 100.0) for value in with_ns])
    assert row.verdict == verdict, row


def test_too_few_pairs_have_no_verdict() -> None:
    subject = capture_cost.Subject(work=capture_cost.make_workload("spin", "serial"), capture="waits", most=0.01)
    assert capture_cost.judge_pairs(PLACE, "effect", subject, [(1.0, 1.0)] * 4).verdict == "unavailable"


class _Always:
    """A capture that works everywhere."""

    def preflight(self, *_arguments: object) -> str:
        return ""


@pytest.mark.parametrize(
    ("work", "batches", "runs"),
    [
        # Far from the limit of 1 %, and right at it.
        ("serial", [(1.000, 1.002)], 1),
        ("fork", [(1.000, 1.002)], 2),
        ("serial", [(0.95, 1.07)] * 9, capture_cost.BATCHES),
        ("serial", [(0.95, 1.07), (1.000, 1.000)], 2),
    ],
)
def test_pairs_are_added_while_the_limit_is_within_the_interval(
    work: str, batches: list[tuple[float, float]], runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    def pairs_of(work: PairedWork, *_arguments: object, pairs: int, **_named: object) -> list[tuple[RunCost, RunCost]]:
        least, most = batches[min(len(made), len(batches) - 1)]
        made.append(work.one_cpu)
        steps = [least + (most - least) * number / (pairs - 1) for number in range(pairs)]
        without = RunCost(wall_ns=1e9, cpu_ns=1e9)
        return [(RunCost(wall_ns=1e9 * step, cpu_ns=1e9 * step), without) for step in steps]

    monkeypatch.setattr(capture_cost, "make_pairs", pairs_of)
    monkeypatch.setattr(capture_cost, "load_capture", lambda _name: _Always())
    subject = capture_cost.Subject(work=capture_cost.make_workload("spin", work), capture="waits", most=0.01)
    rows = capture_cost.measure_cost(subject, interpreters.inspect_own(), pairs=20)
    assert len(made) == runs
    assert [row.check for row in rows] == list(COSTS)
    # Walls are those of one CPU, whatever the model.
    assert made[-1] is True
    assert made[0] is (work == "serial")


ROWS = (
    PLACE.compare("gil-kernel", "one", "ok", unit="ns", measured=5e6, reference=6e6, difference=-1e6, tolerance=2e6),
    PLACE.compare("gil-kernel", "two", "fail", unit="ns", measured=9e6, reference=6e6, difference=3e6, tolerance=2e6),
    replace(PLACE, python="3.9.18").compare(
        "sites", "one", "fail", unit="share", measured=0.5, reference=1.0, reason="f 50.0%"
    ),
    PLACE.mark_unavailable("switches", "no events"),
    PLACE.compare(
        "effect", "waits", "ok", unit="ratio", measured=1.001, lower=0.999, upper=1.004, tolerance=0.01, reason="9"
    ),
)
RESULT = make_result(ROWS, "2026-01-01")


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "accuracy.json"
    write_result(RESULT, path)
    assert read_result(path) == RESULT
    assert [row.what for row in RESULT.rows] == ["two", "one", "waits"]
    assert RESULT.groups[0] == ComparisonGroup("gil-kernel", "made", "3.13.0", compared=2, ok=1, worst=1.5, steal_ns=0)
    assert [(group.check, group.compared) for group in RESULT.groups] == [
        ("gil-kernel", 2),
        ("sites", 1),
        ("switches", 0),
    ]


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    for text in ("", "[]", '{"rows": [{}], "made": "", "machine": {}}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BundleCorrupt, match=r"accuracy\.json"):
            read_result(path)


def test_where_nothing_is_allowed_any_difference_is_too_much() -> None:
    assert compute_tolerance_used(PLACE.compare("names-move", "", "fail", difference=1.0, tolerance=0.0)) > 1
    assert compute_tolerance_used(PLACE.compare("names-move", "", "ok", difference=0.0, tolerance=0.0)) == 0


@pytest.mark.parametrize("others", [(), ROWS[1:2]], ids=["nothing else fails", "something else is"])
def test_the_tables_never_keep_quiet_about_a_cost_that_fails(others: tuple[Comparison, ...]) -> None:
    over = PLACE.compare("effect", "waits", "fail", measured=1.09, lower=1.08, upper=1.1, reference=1.0, tolerance=0.03)
    page = markdown(replace(RESULT, rows=(*others, over, replace(over, check="effect-wall", verdict="inconclusive"))))
    assert "Of 2 costs, CPU times and walls, 1 failed and 1 are inconclusive." in page
    assert ("No other comparison" in page) == (not others)


def test_tables_show_what_is_off_and_which_python() -> None:
    text = format_summary(ROWS)
    assert text.splitlines()[0].split() == ["check", "3.9.18", "3.13.0"]
    assert "1/2, 150%" in text
    page = markdown(RESULT)
    assert "1/2, 150%" in page
    assert "- fail: made on 3.9.18, sites, one: 50.00% for 100.00% (f 50.0%)" in page
    assert "1.001 [0.999, 1.004]" in page
    assert "1.0010" in text
    assert "two" in format_comparison(ROWS[1])
    assert "difference 3.00 ms, allowed 2.00 ms" in format_comparison(ROWS[1])
