"""The fault matrix: which outcome each case has, and that table, figure and verdict say the same."""

from __future__ import annotations

import pytest

from tests.made_tables import SECOND, Maker
from tests.unit.metrics.test_observed import observed
from tracekit.metrics.compute import compute_all
from tracekit.report.build import build
from tracekit.report.faults import OUTCOMES, Case, cases_of
from tracekit.report.figures import faults as figure
from tracekit.report.grouping import groups
from tracekit.report.observed import observed_table
from tracekit.report.terminal import to_text
from tracekit.tables import Tables

FINE = {"parent_lives": 1, "sibling_lives": 1, "noticed_ns": 2e6}
SEEN: dict[tuple[str, str], tuple[dict[str, float], str]] = {
    ("Thread", "exception"): (FINE, "own"),
    ("Thread", "sigkill"): ({"pending_lost": 5}, "dies"),
    ("Pool-fork", "exception"): (FINE, "own"),
    ("Pool-fork", "sigkill"): ({**FINE, "noticed_by_limit": 1}, "silent"),
    ("ProcessPoolExecutor-fork", "exception"): ({**FINE, "sibling_lives": 0}, "others"),
    ("ProcessPoolExecutor-fork", "sigkill"): ({**FINE, "pending_lost": 5}, "others"),
    ("ProcessPoolExecutor-spawn", "exception"): ({**FINE, "finished_lost": 1}, "others"),
    ("ProcessPoolExecutor-spawn", "sigkill"): ({"parent_hangs": 1, "sibling_lives": 1}, "hangs"),
}


@pytest.fixture
def suite() -> Tables:
    maker = Maker(workload="crash")
    run = maker.run("threads", SECOND, kind="fault")
    for (workers, fault), (seen, _) in SEEN.items():
        for what in (
            "parent_lives",
            "parent_hangs",
            "sibling_lives",
            "finished_lost",
            "pending_lost",
            "noticed_by_limit",
        ):
            observed(maker, run, f"{workers}.{fault}.{what}", seen.get(what, 0))
        if "noticed_ns" in seen:
            observed(maker, run, f"{workers}.{fault}.noticed_ns", seen["noticed_ns"], "ns")
    tables = maker.tables()
    tables.metrics = compute_all(tables)
    return tables


def cases(tables: Tables) -> list[Case]:
    return cases_of(groups(tables)[0])


def test_every_case_has_the_outcome_that_its_numbers_mean(suite: Tables) -> None:
    found = {
        (f"{case.pool}-{case.method}" if case.method else case.pool, case.fault): case.outcome for case in cases(suite)
    }
    assert found == {place: outcome for place, (_, outcome) in SEEN.items()}
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
    assert "1 nobody would have noticed" in " ".join(text.split())
    assert [figure.slug for block in view.figures for figure in block.figures] == ["faults"]
    by_slug = {section.slug: section for section in view.sections}
    details = by_slug["faults"].tables[0]
    rows = {
        (group.label, row.label): [field.main for field in row.fields] for group in details.groups for row in group.rows
    }
    assert rows["Pool (fork)", "sigkill"] == ["lives", "lives", "0, 0", "2.00 ms", "0"]
    assert rows["Thread", "sigkill"] == ["dies", "dies", "0, 5", "never", "0"]


def test_the_figure_says_every_outcome_in_words(suite: Tables) -> None:
    drawn = figure.figure(cases(suite), "crash")
    said = [text.get_text().replace("\n", " ") for axes in drawn.figure.axes for text in axes.texts]
    assert sorted(word for word in said if word in OUTCOMES) == sorted(outcome for _, outcome in SEEN.values())
    assert "Pool (fork), sigkill: silent" in drawn.alt


def test_observations_of_many_cases_are_not_columns(suite: Tables) -> None:
    assert observed_table(groups(suite)) is None


def test_other_observations_are_a_table_with_a_row_per_model() -> None:
    maker = Maker(workload="race")
    for model, lost in (("serial", 0), ("threads", 1_234), ("fork", 0)):
        observed(maker, maker.run(model, SECOND), "updates_lost", lost)
    tables = maker.tables()
    tables.metrics = compute_all(tables)
    table = observed_table(groups(tables))
    assert table is not None
    assert [name for name, _ in table.columns] == ["Model", "updates lost"]
    rows = [(row.label, row.fields[0].main) for row in table.groups[0].rows]
    assert rows == [("serial", "0"), ("threads", "1,234"), ("processes (fork)", "0")]
    assert cases_of(groups(tables)[0]) == []
