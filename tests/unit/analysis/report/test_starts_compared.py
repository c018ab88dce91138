"""The report of `start-stop` about several interpreters or parameters."""

from __future__ import annotations

import pytest

from tests.table_factory import MS, Maker
from tests.unit.analysis.report.made_starts import (
    add_model,
    beside,
    computed,
    figures_of,
    in_one_line,
    lines_of,
    numbers_of,
    rows_of,
    stages_of,
)
from tracekit.analysis.metrics.startup.stages import LIFE
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.markdown import escaped, to_markdown
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.views import ReportView


@pytest.fixture(scope="module")
def of_two() -> ReportView:
    """Two interpreters, the imports of one of which take 5 ms longer."""
    maker = Maker(workload="start-stop", page="starts")
    for python, more in (("3.12", {}), ("3.13", {"main_begun_ns": 5 * MS})):
        for model in ("threads", "spawn"):
            add_model(maker, model, python=python, more=more)
    return build(computed(maker))


LABELS = ("Linux · Python 3.12", "Linux · Python 3.13")


def test_every_interpreter_has_its_own_verdict(of_two: ReportView) -> None:
    assert [(verdict.label, verdict.sentence) for verdict in of_two.verdicts] == [
        (
            label,
            f"Starting a worker, one empty task and joining it take 100 µs for a thread and {life} for a spawned "
            f"process. The longest stages of a spawned process are main module (20.0 ms) and imports ({imports}).",
        )
        for label, life, imports in zip(LABELS, ("50.0 ms", "55.0 ms"), ("10.0 ms", "15.0 ms"), strict=True)
    ]


def test_every_interpreter_has_its_own_tables_and_figure(of_two: ReportView) -> None:
    summary = {group.label: [(row.label, row.fields[0].main) for row in group.rows] for group in of_two.summary.groups}
    assert summary == {
        LABELS[0]: [("threads", "100 µs"), ("processes (spawn)", "50.0 ms")],
        LABELS[1]: [("threads", "100 µs"), ("processes (spawn)", "55.0 ms")],
    }
    tables = stages_of(of_two).tables
    assert [table.title for table in tables] == [
        f"{which} · {label}" for label in LABELS for which in ("Later starts", "First start")
    ]
    assert [numbers_of(table)["imports"]["spawn"] for table in tables] == ["10.0 ms"] * 2 + ["15.0 ms"] * 2
    figures = figures_of(of_two)
    assert [figure.slug for figure in figures] == ["spawn-stages-1", "spawn-stages-2"]
    assert [beside(figure.figure.axes[0])["spawn"] for figure in figures] == ["51.0 ms", "56.0 ms"]
    for figure, label in zip(figures, LABELS, strict=True):
        assert figure.figure.texts[1].get_text().startswith(label)
    lives = {
        (line["python"], line["model"], line["start"]): float(line["mean_ns"])
        for line in lines_of(of_two)
        if line["stage"] == LIFE
    }
    assert lives["3.12", "spawn", "later"] == pytest.approx(51 * MS)
    assert lives["3.13", "spawn", "later"] == pytest.approx(56 * MS)
    assert len(lives) == 8


def test_parameters_that_differ_are_named() -> None:
    """The verdict is about the first set of them; what all have in common goes without saying."""
    maker = Maker(workload="start-stop", page="starts")
    for megabytes, more in ((0, {}), (500, {"forked_ns": 20 * MS})):
        add_model(maker, "fork", more=more, parameters=f"preload=no parent_mb={megabytes}")
    view = build(computed(maker))
    assert view.verdicts[0].lead.endswith("take 1.00 ms for a forked process")
    assert [(row.detail, row.fields[0].main) for row in view.summary.groups[0].rows] == [
        ("an executor's, parent_mb=0", "1.00 ms"),
        ("an executor's, parent_mb=500", "21.0 ms"),
    ]
    tables = stages_of(view).tables
    assert [table.title for table in tables] == [
        f"{start} · parent_mb={megabytes}" for megabytes in (0, 500) for start in ("Later starts", "First start")
    ]
    assert all(table.columns == (("Stage", "ends"), ("fork", "")) for table in tables)
    assert [rows_of(table)["fork"].fields[0].main for table in tables[::2]] == ["300 µs", "20.3 ms"]
    (figure,) = figures_of(view)
    said = beside(figure.figure.axes[0])
    assert {label.split("\n")[1]: number for label, number in said.items()} == {
        "parent_mb=0": "2.00 ms",
        "parent_mb=500": "22.0 ms",
    }
    assert {line["parameters"] for line in lines_of(view)} == {"preload=no parent_mb=0", "preload=no parent_mb=500"}


def test_markdown_and_terminal_say_whose_verdict_it_is(of_two: ReportView) -> None:
    text = in_one_line(to_text(of_two))
    for verdict in of_two.verdicts:
        assert f"{verdict.label}: {verdict.sentence}" in text
        assert f"**{escaped(verdict.label)}**: {escaped(verdict.sentence)}" in to_markdown(of_two)
    assert f"Later starts · {LABELS[0]}" in text
