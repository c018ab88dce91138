"""The section What-if: the sentence on the break-even, and ratios paired by round."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from tests.unit.analysis.metrics.predicted_suite import of_threads, suite, with_runs
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.predict.break_even_terms import NO_COSTS
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.comparison import what_if
from tracekit.analysis.tables import Tables


def say_break_even(tables: Tables) -> str:
    if tables.metrics.empty:
        tables.metrics = compute_all(Analysis(tables))
    (sentence,) = what_if.sentences(Analysis(tables), groups(tables))
    return sentence


def test_break_even_never_comes_with_both_speeds_as_they_are() -> None:
    tables = suite(together=(2,) * 5)
    row = of_threads(tables, "break_even_fork_task_ns")
    assert (row["quality"], row["value"]) == ("unavailable", None)
    # Computing beside the other takes twice as long, so two do no more than one; threads took 85 ms for 80.
    assert row["reason"] == (
        "no task is long enough: processes would be at most 1.00x as fast as one after another, and threads are 0.94x"
    )
    assert say_break_even(tables) == f"Processes have no break-even here: {row['reason']}."


def test_where_no_break_even_is_known_the_reason_is_all_that_is_said() -> None:
    tables = suite(together=(1, 1, 1, 2, 2))
    row = of_threads(tables, "break_even_fork_task_ns")
    assert row["reason"].startswith("in 2 of 5 rounds no task is long enough: processes would be at most 1.5")
    assert say_break_even(tables) == f"The break-even of processes is not known: {row['reason']}."


def test_a_break_even_of_one_pool_that_never_comes_is_no_answer_for_another_that_is_not_known() -> None:
    tables = suite(together=(1, 1, 1, 2, 2))
    never = compute_all(Analysis(suite(together=(2,) * 5)))
    metrics = compute_all(Analysis(tables))
    spawn = [frame["metric"] == "break_even_spawn_task_ns" for frame in (metrics, never)]
    tables.metrics = pd.concat([metrics[~spawn[0]], never[spawn[1]]], ignore_index=True)
    assert say_break_even(tables).startswith("The break-even of processes is not known: in 2 of 5 rounds")


def test_where_one_pool_is_known_it_is_the_answer_and_nothing_is_said_of_the_others() -> None:
    tables = suite()
    assert of_threads(tables, "break_even_forkserver_task_ns")["reason"] == NO_COSTS.reason
    said = say_break_even(tables)
    assert said.startswith("With as many tasks of this payload, 2 workers are faster than threads and serial when")
    # 8 L = 30 + 4 L + 13, and 60 for spawned ones.
    assert re.search(
        r": forked processes from 10\.\d ms and spawned processes from 18\.\d ms\. One takes 10\.0 ms", said
    )
    assert "not known" not in said
    assert "no break-even" not in said


def test_predictions_are_compared_with_measurements_round_by_round() -> None:
    tables = with_runs(suite(), "serial", (100, 200, 300, 400, 1_000))
    tables.metrics = compute_all(Analysis(tables))
    table = what_if.by_topic(Analysis(tables), groups(tables))[what_if.PREDICTION]
    serial = table.groups[0].rows[0].fields[2]
    # 80 over 100, 200, 300, 400, 1000: geometric mean .267; s of the logarithms is .861, t(4) s / sqrt(5) 1.069.
    assert (serial.main, serial.sub) == ("0.27x", "0.09–0.77")


@pytest.mark.parametrize("measured", [False, True])
def test_start_methods_are_compared_round_by_round_so_that_noise_of_a_round_is_not_in_it(measured: bool) -> None:
    slow = (1, 4, 2, 8, 3)
    tables = suite(slow=slow)
    if measured:
        for model, walls in (("fork", (100,) * 5), ("spawn", (200, 400, 400, 400, 800))):
            tables = with_runs(tables, model, [wall * times for wall, times in zip(walls, slow, strict=True)])
    tables.metrics = compute_all(Analysis(tables))
    table = what_if.by_topic(Analysis(tables), groups(tables))[what_if.START_METHODS]
    fork, spawn = table.groups[0].rows
    assert fork.fields[2].main == "is the default"
    assert {row.fields[1].tag for row in (fork, spawn)} == {"measured" if measured else "predicted"}
    # Measured, base 2 the logarithms are 1, 2, 2, 2, 3: t(4) s / sqrt(5) = .878. Predicted, they are 60 + 40 + 13 over
    # 30 + 40 + 13 in every round.
    expected = ("4.00x", "2.18–7.35") if measured else ("1.36x", "1.36–1.36")
    assert (spawn.fields[2].main, spawn.fields[2].sub) == expected
