"""What must hold for every metric, whatever it computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from tests import table_factory
from tests.unit.analysis.metrics.metric_rows import sorted_frame
from tracekit.analysis import tables as table_rules
from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all, load_metric
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.tables import QUALITIES, SCOPES, Tables, records

FEW = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def suite() -> Tables:
    return table_factory.suite(repeats=5, models=("serial", "threads", "fork"))


@pytest.fixture(scope="module")
def metrics(suite: Tables) -> pd.DataFrame:
    return compute_all(Analysis(suite))


def assert_same_metrics(after: pd.DataFrame, before: pd.DataFrame) -> None:
    """Metric by metric, so that the message names the one that breaks a law."""
    for name in before["metric"].unique():
        parts = (frame[frame["metric"] == name].reset_index(drop=True) for frame in (after, before))
        assert_frame_equal(*parts, obj=f"metric {name}")
    assert len(after) == len(before)


def with_frames(tables: Tables, **frames: Any) -> Tables:
    return dataclasses.replace(tables, **frames)


@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_does_not_matter(suite: Tables, metrics: pd.DataFrame, seed: int) -> None:
    shuffled = {
        name: suite.table(name).sample(frac=1, random_state=seed).reset_index(drop=True)
        for name in ("runs", "processes", "threads", "spans", "counters")
    }
    again = compute_all(Analysis(with_frames(suite, **shuffled)))
    assert_frame_equal(sorted_frame(again), sorted_frame(metrics), rtol=1e-12)


def test_one_row_of_a_metric_and_place_is_preferred_and_it_is_the_one_that_reports_show(
    suite: Tables, metrics: pd.DataFrame
) -> None:
    preferred = metrics[metrics["preferred"]]
    place = ["metric", "scope", "run_id", "pid", "tid", *table_rules.CELL]
    assert not preferred.duplicated(place).any()
    assert len(preferred) == len(metrics[place].drop_duplicates())
    shown = {
        (item.metric, *(getattr(cell, name) for name in table_rules.CELL)): cell.number(item.metric)
        for group in groups(with_frames(suite, metrics=metrics))
        for cell in (*group.cells, *group.controls, *group.traced)
        for item in cell.every
    }
    for row in records(preferred[preferred["scope"] == "cell"]):
        number = shown[(row["metric"], *(row[name] for name in table_rules.CELL))]
        assert (number.method, number.value) == (row["method"] or "", row["value"])


@FEW
@given(shift=st.integers(-(10**12), 2**60))
def test_only_differences_of_stamps_matter(suite: Tables, metrics: pd.DataFrame, shift: int) -> None:
    stamps = ("start_ns", "end_ns", "ts_ns", "exit_ns", "exec_ns", "spawn_requested_ns", "interpreter_ready_ns")
    moved = {}
    for name in ("runs", "processes", "threads", "spans", "counters"):
        frame = suite.table(name).copy()
        for column in (*stamps, "first_task_ns", "last_task_ns"):
            if column in frame:
                frame[column] = frame[column] + shift
        moved[name] = frame
    assert_same_metrics(compute_all(Analysis(with_frames(suite, **moved))), metrics)


def test_a_task_cut_in_two_changes_nothing(suite: Tables, metrics: pd.DataFrame) -> None:
    """Same totals, twice as many spans."""
    tasks = suite.spans[suite.spans["name"] == "task"]
    first, second = tasks.copy(), tasks.copy()
    for column in ("dur_ns", "cpu_ns"):
        first[column] = tasks[column] // 3
        second[column] = tasks[column] - first[column]
    second["start_ns"] = tasks["start_ns"] + first["dur_ns"]
    spans = pd.concat([suite.spans[suite.spans["name"] != "task"], first, second], ignore_index=True)
    assert_same_metrics(compute_all(Analysis(with_frames(suite, spans=spans))), metrics)


def test_walls_twice_as_long_change_ratios_by_nothing(suite: Tables, metrics: pd.DataFrame) -> None:
    runs = suite.runs.assign(wall_ns=suite.runs["wall_ns"] * 2)
    doubled = compute_all(
        Analysis(with_frames(suite, runs=runs)), ["wall_ns", "speedup", "ceiling_share", "probe_effect"]
    )
    for name, factor in (("wall_ns", 2), ("speedup", 1), ("ceiling_share", 1), ("probe_effect", 1)):
        before, after = (frame[frame["metric"] == name]["value"].reset_index(drop=True) for frame in (metrics, doubled))
        pd.testing.assert_series_equal(after, before * factor)


def test_numbers_have_ends_around_them(metrics: pd.DataFrame) -> None:
    known = metrics[metrics["quality"] != "unavailable"]
    assert known["value"].notna().all()
    with_ends = known[known["lower"].notna()]
    assert (with_ends["lower"] <= with_ends["value"]).all()
    assert (with_ends["value"] <= with_ends["upper"]).all()
    assert known[known["quality"] == "bound"]["lower"].notna().all()


def test_what_is_unavailable_says_why(metrics: pd.DataFrame) -> None:
    lost = metrics[metrics["quality"] == "unavailable"]
    assert len(lost)
    assert lost["reason"].notna().all()
    assert lost[["value", "lower", "upper"]].isna().all(axis=None)


OF_ALL = tuple(name for name in METRICS if name not in ("observed", "spawn_stages"))
"""`observed` speaks of workloads that observe anything, and of each observation by its own name: test_observed.py; so
does `spawn_stages` of stages, where workers start one by one: test_spawn_stages.py."""


def test_every_metric_speaks_about_every_untraced_cell(suite: Tables, metrics: pd.DataFrame) -> None:
    columns = list(table_rules.CELL)
    untraced = suite.runs[suite.runs["capture"] == "none"][columns].drop_duplicates()
    for name in OF_ALL:
        about = metrics[(metrics["metric"] == name) & (metrics["scope"] == "cell")]
        wanted = untraced if name != "probe_effect" else suite.runs[suite.runs["capture"] != "none"][columns]
        assert len(about) == len(wanted.drop_duplicates()), name
        assert not about.duplicated(columns).any(), name


def test_words_are_those_of_the_tables(metrics: pd.DataFrame) -> None:
    assert set(metrics["quality"]) <= set(QUALITIES)
    assert set(metrics["scope"]) <= set(SCOPES)
    assert set(metrics["metric"]) == set(OF_ALL)


def test_units_are_those_the_metric_declares(metrics: pd.DataFrame) -> None:
    for name in METRICS:
        metric = load_metric(name)
        assert metric.name == name
        assert set(metrics.loc[metrics["metric"] == name, "unit"]) == ({metric.unit} if name in OF_ALL else set())
        assert metric.better in ("lower", "higher", "neither")
        assert set(metric.needs) <= set(table_rules.COLUMNS)


def test_warm_ups_and_failures_give_no_number(suite: Tables, metrics: pd.DataFrame) -> None:
    unused = set(suite.runs.loc[suite.runs["warmup"], "run_id"])
    assert unused
    assert not unused & set(metrics["run_id"].dropna())
    failed = suite.runs.assign(status=suite.runs["status"].where(suite.runs["model"] != "fork", "timed_out"))
    again = compute_all(Analysis(with_frames(suite, runs=failed)))
    fork = again[(again["model"] == "fork") & (again["capture"] == "none")]
    assert set(fork["quality"]) == {"unavailable"}
    assert set(fork["scope"]) == {"cell"}


def test_empty_tables_give_unavailable_rows_and_no_error() -> None:
    small = table_factory.suite(repeats=1, models=("serial", "threads", "fork"), controls=False)
    for name in ("processes", "threads", "spans", "counters"):
        found = compute_all(Analysis(with_frames(small, **{name: table_rules.empty(name)})))
        assert {row["metric"] for row in records(found)} == set(OF_ALL)
    nothing = table_factory.Maker().tables()
    assert len(compute_all(Analysis(nothing))) == 0


def test_nothing_is_changed(suite: Tables) -> None:
    before = {name: suite.table(name).copy(deep=True) for name in table_rules.COLUMNS}
    compute_all(Analysis(suite))
    for name, frame in before.items():
        assert_frame_equal(suite.table(name), frame)
