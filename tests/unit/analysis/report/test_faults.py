"""The fault matrix: which outcome each case has, and that table, figure and verdict say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.table_factory import SECOND, Maker
from tests.unit.analysis.metrics.test_observed import observed
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.report.build import build
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.faults import matrix_figure as figure
from tracekit.analysis.report.pages.faults.cases import OUTCOMES, FaultCase, find_matrices
from tracekit.analysis.report.pages.faults.page import matrix_table
from tracekit.analysis.report.render.markdown import to_markdown
from tracekit.analysis.report.render.terminal import table_text, to_text
from tracekit.analysis.report.sections.observed import observed_table
from tracekit.analysis.tables import Tables
from workloads.crash_subject import LIMIT_S

NEEDED = ("parent_lives", "parent_hangs", "sibling_lives", "finished_lost", "pending_lost", "noticed_by_limit")
FINE = {"parent_lives": 1, "sibling_lives": 1, "noticed_ns": 2e6}
CASES: dict[tuple[str, str, str], tuple[dict[str, float], str]] = {
    ("Thread", "", "exception"): (FINE, "own"),
    ("Thread", "", "sigkill"): ({"pending_lost": 5, "left_behind": 0}, "dies"),
    ("Pool", "fork", "exception"): (FINE, "own"),
    ("Pool", "fork", "sigkill"): ({**FINE, "noticed_by_limit": 1}, "silent"),
    ("ProcessPoolExecutor", "fork", "exception"): ({**FINE, "sibling_lives": 0}, "others"),
    ("ProcessPoolExecutor", "fork", "sigkill"): ({**FINE, "pending_lost": 5}, "others"),
    ("ProcessPoolExecutor", "spawn", "exception"): ({**FINE, "finished_lost": 1}, "others"),
    ("ProcessPoolExecutor", "spawn", "sigkill"): ({"parent_hangs": 1, "sibling_lives": 1}, "hangs"),
}


@pytest.fixture
def suite() -> Tables:
    maker = Maker(workload="crash", page="faults")
    run = maker.run("threads", SECOND, kind="fault")
    for (pool, start_method, fault), (seen, _) in CASES.items():
        place = {"pool": pool, "start_method": start_method, "case": fault}
        for what in NEEDED:
            observed(maker, run, what, seen.get(what, 0), **place)
        for what, unit in (("noticed_ns", "ns"), ("left_behind", "count")):
            if what in seen:
                observed(maker, run, what, seen[what], unit, **place)
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables))
    return tables


def cases(tables: Tables) -> tuple[FaultCase, ...]:
    [matrix] = find_matrices(groups(tables))
    return matrix.cases


def test_every_case_has_the_outcome_that_its_numbers_mean(suite: Tables) -> None:
    found = {(case.pool, case.start_method, case.fault): case.outcome for case in cases(suite)}
    assert found == {place: outcome for place, (_, outcome) in CASES.items()}
    assert set(found.values()) == set(OUTCOMES)


def test_the_report_is_about_the_faults(suite: Tables) -> None:
    view = build(suite)
    assert view.verdicts[0].sentence == (
        "A fault in a thread was the end of the whole program in 1 of 2 cases, "
        "a fault in a worker process was the end of the whole program in 1 of 6 cases."
    )
    assert view.verdicts[0].outcome == "processes"
    text = to_text(view)
    lines = [line.split() for line in text.splitlines()]
    assert ["Pool", "(fork)", "own", "silent"] in lines
    assert ["ProcessPoolExecutor", "(spawn)", "others", "hangs"] in lines
    assert "1 were noticed by a time limit only" in " ".join(text.split())
    assert [figure.slug for block in view.figures for figure in block.figures] == ["faults"]
    by_slug = {section.slug: section for section in view.sections}
    details = by_slug["faults"].tables[0]
    rows = {
        (group.label, row.label): [field.main for field in row.fields] for group in details.groups for row in group.rows
    }
    assert rows["Pool (fork)", "sigkill"] == ["survives", "survives", "0, 0", "2.00 ms", "–"]
    assert rows["Thread", "sigkill"] == ["dies", "dies", "0, 5", "never", "0"]


def test_the_figure_says_every_outcome_in_words(suite: Tables) -> None:
    drawn = figure.figure(cases(suite), "crash")
    said = [text.get_text().replace("\n", " ") for axes in drawn.figure.axes for text in axes.texts]
    assert sorted(word for word in said if word in OUTCOMES) == sorted(outcome for _, outcome in CASES.values())
    assert "Pool (fork), sigkill: silent" in drawn.alt


def test_a_case_of_which_too_little_is_known_has_no_outcome(suite: Tables) -> None:
    """Of a suite of another version, say: it is left out, not counted as one in which nothing was lost."""
    gone = "observed.Pool.fork.sigkill.pending_lost"
    suite.metrics = suite.metrics[suite.metrics["metric"] != gone]
    assert ("Pool", "sigkill") not in {(case.pool, case.fault) for case in cases(suite)}
    assert "–" in next(line for line in to_text(build(suite)).splitlines() if line.startswith("Pool"))


def test_every_interpreter_has_a_matrix_of_its_own() -> None:
    """And every model that started the programs, where somebody asked for several."""
    maker = Maker(workload="crash", page="faults")
    for python, model, lives in (("3.11", "threads", 1), ("3.11", "fork", 1), ("3.12", "threads", 0)):
        run = maker.run(model, SECOND, kind="fault", python=python)
        for what in NEEDED:
            value = lives if what in ("parent_lives", "sibling_lives") else 0
            observed(maker, run, what, value, pool="Thread", case="exception")
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables))
    found = find_matrices(groups(tables))
    assert [(matrix.label, matrix.cases[0].outcome) for matrix in found] == [
        ("Linux · Python 3.11 · started by 2 threads", "own"),
        ("Linux · Python 3.11 · started by 2 processes (fork)", "own"),
        ("Linux · Python 3.12", "dies"),
    ]
    view = build(tables)
    labels = [matrix.label for matrix in found]
    assert [verdict.label for verdict in view.verdicts] == labels
    assert [group.label for group in view.summary.groups] == labels
    assert [block.label for block in view.figures] == labels
    assert [block.figures[0].slug for block in view.figures] == ["faults-1", "faults-2", "faults-3"]
    assert [section.slug for section in view.sections] == ["faults-1", "faults-2", "faults-3"]


def test_the_words_name_the_limits_that_the_programs_have() -> None:
    assert f"after {LIMIT_S:g} s in which nothing happened" in OUTCOMES["silent"]
    assert "long after its own time limit" in OUTCOMES["hangs"]


def test_of_an_even_number_of_repeats_the_worse_counts() -> None:
    maker = Maker(workload="crash")
    for repeat, seen in enumerate((FINE, {"pending_lost": 1, "sibling_lives": 1}), start=1):
        run = maker.run("threads", SECOND, kind="fault", repeat=repeat)
        for what in NEEDED:
            observed(maker, run, what, seen.get(what, 0), pool="Pool", start_method="fork", case="exception")
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables))
    [case] = cases(tables)
    assert (case.outcome, case.observed["pending_lost"], case.observed["sibling_lives"]) == ("dies", 1, 1)


def test_observations_of_many_cases_are_not_columns(suite: Tables) -> None:
    assert observed_table(groups(suite)) is None


def test_other_observations_are_a_table_with_a_row_per_model() -> None:
    maker = Maker(workload="race")
    for model, lost in (("serial", 0), ("threads", 1_234), ("fork", 0)):
        observed(maker, maker.run(model, SECOND), "updates_lost", lost)
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables))
    table = observed_table(groups(tables))
    assert table is not None
    assert [name for name, _ in table.columns] == ["Model", "updates lost"]
    rows = [(row.label, row.fields[0].main) for row in table.groups[0].rows]
    assert rows == [("serial", "0"), ("threads", "1,234"), ("processes (fork)", "0")]
    assert find_matrices(groups(tables)) == ()


def test_a_row_without_detail_has_no_empty_brackets(suite: Tables) -> None:
    table = matrix_table(find_matrices(groups(suite)))
    plain = replace(
        table, groups=tuple(replace(group, rows=(replace(group.rows[0], detail=""),)) for group in table.groups)
    )
    view = replace(build(suite), summary=plain)
    assert "()" not in to_text(view)
    assert "()" not in to_text(view, 40)
    assert "| **Thread** | own" in to_markdown(view)


def test_rows_of_a_wide_table_that_share_a_label_keep_what_tells_them_apart(suite: Tables) -> None:
    """Nine faults leave no room for details, but two rows called ProcessPoolExecutor would be one to a reader."""
    table = matrix_table(find_matrices(groups(suite)))
    wide = replace(
        table,
        columns=(table.columns[0], *table.columns[1:] * 4),
        groups=tuple(
            replace(group, rows=tuple(replace(row, fields=row.fields * 4) for row in group.rows))
            for group in table.groups
        ),
    )
    lines = [line.split("  ")[0] for line in table_text(wide).splitlines()]
    assert [line for line in lines if line.startswith(("Thread", "Pool", "ProcessPool"))] == [
        "Thread",
        "Pool",
        "ProcessPoolExecutor (fork)",
        "ProcessPoolExecutor (spawn)",
    ]
