"""Every metric that can be `measured` is compared by a check, or computed from such as are."""

from __future__ import annotations

import pytest

from tests.accuracy.run_factory import PLACE
from tracekit.accuracy.comparison import CHECKS, list_uncompared
from tracekit.accuracy.table import format_summary
from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import load_metric


def compared_by(*checks: str) -> set[str]:
    return {metric for check in checks for metric in CHECKS[check].metrics}


def test_no_measured_metric_is_without_a_check() -> None:
    missing = list_uncompared(compared_by(*CHECKS))
    assert missing == [], "name it in a check of tracekit/accuracy/comparison.py, and compare it there"


@pytest.mark.parametrize("check", [name for name, check in CHECKS.items() if check.metrics])
def test_without_one_check_there_would_be(check: str) -> None:
    others = compared_by(*(name for name in CHECKS if name != check))
    assert set(list_uncompared(others)) >= compared_by(check) - others
    assert compared_by(check) - others


def test_checks_and_formulas_name_metrics_that_exist() -> None:
    assert compared_by(*CHECKS) <= set(METRICS)
    for name in METRICS:
        assert set(load_metric(name).computed_from) <= set(METRICS) - {name}
        # A metric is either arithmetic or compared itself: a reader of the docs must know which.
        assert not (load_metric(name).computed_from and name in compared_by(*CHECKS))


def test_what_is_computed_from_compared_metrics_is_as_right_as_they_are() -> None:
    missing = list_uncompared({"wall_ns"})
    assert {"speedup", "ceiling_share"} & set(missing) == set()
    assert {"gil_wait_share", "gil_wait_ns"} <= set(missing)


def test_the_summary_lists_the_metrics_that_no_row_compared() -> None:
    row = PLACE.compare_values(
        "lifetimes", "one", (1.0, 1.0), unit="ns", tolerance=1.0, metric="wall_ns", reason="made by hand"
    )
    missing = format_summary([row]).splitlines()[-1]
    assert missing.startswith("Measured metrics without a row: ")
    assert "gil_wait_ns" in missing
    assert "wall_ns," not in missing.replace("thread_wall_ns,", "")


def test_a_row_of_a_metric_that_its_check_does_not_name_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="sites does not say that it compares wall_ns"):
        PLACE.compare_values("sites", "", (1.0, 1.0), unit="ns", tolerance=1.0, metric="wall_ns")
