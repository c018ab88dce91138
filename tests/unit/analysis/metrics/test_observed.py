"""What a workload says of itself becomes a metric of its own name, for the cells that have it."""

from __future__ import annotations

from typing import Any

from tests.table_factory import SECOND, Maker
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.observed import compute
from tracekit.analysis.tables import records


def observed(
    maker: Maker, run: dict[str, Any], what: str, value: float | None = None, unit: str = "count", **dimensions: Any
) -> None:
    """One observation of a run; `text` may stand among the dimensions."""
    maker.row("observations", run_id=run["run_id"], what=what, value=value, unit=unit, **dimensions)


def test_each_observation_is_pooled_over_the_repeats_of_its_cell() -> None:
    maker = Maker(workload="race")
    for repeat, lost in enumerate([10, 30, 20, 50, 40], start=1):
        threads = maker.run("threads", SECOND, repeat=repeat)
        observed(maker, threads, "updates_lost", lost)
        observed(maker, threads, "late_ns", 1e6 * repeat, "ns")
        maker.run("serial", SECOND, repeat=repeat, workload="spin", control=True)
    observed(maker, maker.run("threads", SECOND, warmup=True), "updates_lost", 1_000_000)
    rows = records(compute(Analysis(maker.tables())))
    cells = {row["metric"]: row for row in rows if row["scope"] == "cell"}
    assert cells.keys() == {"observed.updates_lost", "observed.late_ns"}
    lost_row = cells["observed.updates_lost"]
    assert (lost_row["value"], lost_row["unit"], lost_row["n"], lost_row["quality"]) == (30, "count", 5, "measured")
    assert (lost_row["lower"], lost_row["upper"]) == (10, 50)
    assert (cells["observed.late_ns"]["value"], cells["observed.late_ns"]["unit"]) == (3e6, "ns")
    runs = [row["value"] for row in rows if row["scope"] == "run" and row["metric"] == "observed.updates_lost"]
    assert runs == [10, 30, 20, 50, 40]
    assert {row["workload"] for row in rows} == {"race"}, "a control observes nothing, and gets no row that says so"


def test_a_suite_without_observations_has_no_rows() -> None:
    maker = Maker()
    maker.run("serial", SECOND)
    assert compute(Analysis(maker.tables())).empty
