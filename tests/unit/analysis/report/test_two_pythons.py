"""A suite of two interpreters: one table with both side by side, and a sentence that compares them."""

from __future__ import annotations

import re

from tests.unit.analysis.report.made_numbers import Suite
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.html import to_html
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.views import ReportView

OLD, NEW = "3.11", "3.13"
ONE = (1.0, 1.0, 1.0)


def two(n: int = 5, **new: float) -> ReportView:
    """`new`: the walls of the newer one in ms, beside 800, 820 and 440 of the older one."""
    suite = Suite()
    walls = {"serial": 800.0, "threads": 820.0, "fork": 440.0}
    for python, changes in ((OLD, {}), (NEW, new)):
        for model, wall in {**walls, **changes}.items():
            suite.cell(model, n=n, wall_ms=wall, speedup=ONE, python=python)
    return build(suite.tables())


def test_a_sentence_compares_them_and_says_no_more_than_the_intervals() -> None:
    first, *others = two(serial=640.0, fork=489.0).verdicts
    assert first.sentence == (
        "matmul under Python 3.13 against Python 3.11: serial is 1.25x as fast (1.25–1.25); 2 threads are not "
        "detectably faster or slower (1.00x, 1.00–1.00); 2 processes (fork) are 0.90x as fast (0.90–0.90) (95 % "
        "intervals, n = 5). "
        "The shortest median wall is that of 2 processes (fork) under Python 3.11, 440 ms."
    )
    assert [verdict.label for verdict in others] == ["Linux · Python 3.11", "Linux · Python 3.13"]


def test_with_too_few_repeats_it_says_so() -> None:
    assert "serial is 1.25x as fast, without an interval" in two(n=2, serial=640.0).verdicts[0].lead


def test_their_numbers_stand_side_by_side() -> None:
    table = two(serial=640.0).summary
    assert [name for name, _ in table.columns] == [
        "Model",
        "Wall, Python 3.11",
        "Wall, Python 3.13",
        "As fast",
        "Speed-up, Python 3.11",
        "Speed-up, Python 3.13",
        "GIL wait, Python 3.11",
        "GIL wait, Python 3.13",
    ]
    (group,) = table.groups
    assert [(row.label, *(field.main for field in row.fields[:3])) for row in group.rows] == [
        ("serial", "800 ms", "640 ms", "1.25x"),
        ("threads", "820 ms", "820 ms", "1.00x"),
        ("processes (fork)", "440 ms", "440 ms", "1.00x"),
    ]


def test_nothing_of_the_page_is_said_twice() -> None:
    view = two()
    figures = [figure.slug for block in view.figures for figure in block.figures]
    assert figures[:2] == ["speedup-1", "speedup-2"]
    assert len(figures) == len(set(figures))
    text = to_html(view, {figure.slug: b"" for figure in view.every_figure})
    headings = re.findall(r"<h[23][^>]*>([^<]*)</h", text)
    assert len(headings) == len(set(headings))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert captions[0].startswith("Linux · Python")
    # The whole numbers of each are there, on demand.
    (own,) = [section for section in view.sections if section.slug == "each-python"]
    assert [table.closed for table in own.tables] == [True]
    assert [group.label for group in own.tables[0].groups] == ["Linux · Python 3.11", "Linux · Python 3.13"]
    assert to_text(view).count("Medians of") == 1


def test_interpreters_of_two_systems_are_not_compared() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("serial", speedup=ONE, os="Darwin")
    assert [verdict.label for verdict in build(suite.tables()).verdicts] == [
        "Linux · Python 3.13",
        "Darwin · Python 3.13",
    ]


def test_each_sentence_leads_to_the_figures_of_its_own_python() -> None:
    view = two(serial=640.0)
    text = to_html(view, {figure.slug: b"" for figure in view.every_figure})
    both, old, new = re.findall(r'<p class="verdict[^"]*">(.*?)</p>', text, re.DOTALL)
    assert re.findall(r'href="#([^"]+)"', both) == ["summary"]
    for number, verdict in enumerate((old, new), start=1):
        assert set(re.findall(r'href="#(figure-speedup[^"]*)"', verdict)) == {f"figure-speedup-{number}"}
    assert re.findall(r"<summary>(Wall time[^<]*)</summary>", text) == [
        "Wall time, every repeat, Linux · Python 3.11",
        "Wall time, every repeat, Linux · Python 3.13",
    ]
