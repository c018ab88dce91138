"""Analysis: each result is computed once, and it is the only door between the tables and the metrics."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from tests.table_factory import suite
from tracekit.analysis.metrics import METRICS, analysis
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Numbers, measured
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import records

MODULES = sorted({METRICS.target(name).split(":")[0] for name in METRICS})


def test_all_metrics_together_compute_each_result_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: dict[str, int] = {}

    def count(name: str) -> None:
        function = getattr(analysis, name)

        def counting(*given: object, **named: object) -> object:
            counted[name] = counted.get(name, 0) + 1
            return function(*given, **named)

        monkeypatch.setattr(analysis, name, counting)

    names = ("compute_lifetimes", "lay_waits", "lay_sched_states", "measure_task_time", "build_from_counters")
    for name in (*names, "measure_worker_costs", "measure_demands", "estimate_from_samples"):
        count(name)
    compute_all(Analysis(suite()))
    assert counted == dict.fromkeys(counted, 1)
    assert len(counted) == 8


def test_another_engine_can_stand_behind_the_metrics() -> None:
    class Engine(Analysis):
        @property
        def gil_wait_numbers(self) -> Numbers:  # type: ignore[override]
            return {(run["run_id"],): [measured(7.0, "another engine")] for run in self.usable_runs}

    found = compute_all(Engine(suite()), ["gil_wait_ns"])
    of_runs = [row for row in records(found) if row["scope"] == "run"]
    assert {(row["value"], row["method"]) for row in of_runs} == {(7.0, "another engine")}


@pytest.mark.parametrize("module", MODULES)
def test_a_metric_knows_no_tables(module: str) -> None:
    """It is given an Analysis, and does not import the tables."""
    path = import_module(module).__file__
    assert path is not None
    imported = [node for node in ast.walk(ast.parse(Path(path).read_text())) if isinstance(node, ast.ImportFrom)]
    assert not any(alias.name == "Tables" for node in imported for alias in node.names)


def test_the_tables_are_not_changed() -> None:
    tables = suite()
    before = {name: tables.table(name).copy() for name in ("runs", "threads", "spans", "counters")}
    compute_all(Analysis(tables))
    for name, frame in before.items():
        pd.testing.assert_frame_equal(tables.table(name), frame)
