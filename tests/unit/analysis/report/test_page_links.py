"""The HTML page: its contents, the links from the answer to what explains it, and the values that tables sort by."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import pytest

from tests.unit.analysis.report import made_program, test_claims
from tests.unit.analysis.report.made_numbers import typical
from tests.unit.analysis.report.made_starts import start_stop
from tests.unit.analysis.report.test_text_outputs import Page
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.html import link_words, to_html
from tracekit.analysis.report.render.links import find_phrases, find_place
from tracekit.analysis.report.render.values import find_value
from tracekit.analysis.report.views import ReportView

PAGES: dict[str, Callable[[], ReportView]] = {
    "comparison": lambda: build(typical().tables()),
    "two Pythons": lambda: build(typical().cell("serial", python="3.14").cell("fork", python="3.14").tables()),
    "program": made_program.view,
    "starts": lambda: build(start_stop()),
    "claims": lambda: build(test_claims.suite()),
}


@cache
def written(name: str) -> tuple[str, Page]:
    view = PAGES[name]()
    text = to_html(view, {figure.slug: b"" for figure in view.every_figure})
    return text, Page(text)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_inside_the_page_has_one_place_that_it_leads_to(name: str) -> None:
    _, page = written(name)
    ids = [facts["id"] for _, facts in page.tags if facts.get("id")]
    assert len(ids) == len(set(ids))
    links = {href[1:] for facts in page.named("a") if (href := facts["href"] or "").startswith("#")}
    assert len(links) > 5
    assert links <= set(ids)
    described = {facts["aria-describedby"] for _, facts in page.tags if facts.get("aria-describedby")}
    assert described <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_the_contents_have_every_section_in_its_order(name: str) -> None:
    text, _ = written(name)
    contents = text.partition('<nav class="contents"')[2].partition("</nav>")[0]
    listed = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', contents)
    assert listed == [("summary", "Summary"), *re.findall(r'<h2 id="([^"]+)">([^<]*)</h2>', text)]


@pytest.mark.parametrize("name", PAGES)
def test_the_answer_leads_to_its_explanation(name: str) -> None:
    text, _ = written(name)
    verdicts = re.findall(r'<p class="verdict[^"]*">(.*?)</p>', text, re.DOTALL)
    verdicts += re.findall(r'<p class="finding">(.*?)</p>', text, re.DOTALL)
    assert verdicts
    assert all('<a href="#' in verdict for verdict in verdicts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "2 processes run matmul 1.63x as fast as serial; 2 threads are slower than serial (0.98x): they wait for "
            "the GIL 51 % of the time.",
            [
                ("1.63x as fast as serial", "figure-speedup-2"),
                ("slower than serial", "figure-speedup-2"),
                ("0.98x", "figure-speedup-2"),
                ("wait for the GIL 51 % of the time", "gil"),
            ],
        ),
        (
            "Its 4 threads spent 3.50 s: GIL wait 770 ms (22 %), idle 900 ms (26 %).",
            [("GIL wait 770 ms (22 %)", "gil"), ("idle 900 ms (26 %)", "sites")],
        ),
        (
            "main had waited 2.00 s for a lock; feeder waited 700 ms for that.",
            [("waited 2.00 s", "sites"), ("waited 700 ms for that", "gil")],
        ),
        ("The machine was too busy to tell: no idle thread.", [("too busy to tell", "notices")]),
        ("Nothing of this leads anywhere.", []),
    ],
)
def test_words_and_numbers_lead_to_what_they_are_about(text: str, found: list[tuple[str, str]]) -> None:
    places = {"figure-speedup-1", "figure-speedup-2", "gil", "notices", "sites"}
    assert [(text[begin:end], place) for begin, end, place in find_phrases(text, places, 2)] == found


def test_a_function_s_name_is_no_phrase() -> None:
    assert link_words("held in `sleep 1 s` for 2 s", {"sites"}) == (
        'held in <code>sleep 1 s</code> for <span class="keep">2 s</span>'
    )


def test_a_link_takes_the_best_place_that_the_page_has() -> None:
    assert find_place({"gil", "sites"}, ("attribution", "gil", "sites")) == "gil"
    assert find_place({"figure-walls-1"}, ("figure-walls",), number=2) == "figure-walls-1"
    assert find_place({"gil"}, ("attribution",)) == ""


def test_numbers_of_the_summary_are_links_and_words_are_none() -> None:
    text, _ = written("comparison")
    summary = text.partition('<section id="summary"')[2].partition("</section>")[0]
    assert '<a href="#figure-speedup">1.82x</a>' in summary
    assert '<a href="#figure-walls">440 ms</a>' in summary
    assert not re.search(r"<a [^>]*>(–|n/a)</a>", summary)


@pytest.mark.parametrize("name", PAGES)
def test_no_backtick_of_ours_is_left_in_the_page(name: str) -> None:
    text, _ = written(name)
    body = text.partition("<body>")[2].partition("<script>")[0]
    assert "`" not in body
    assert "<code>" in body


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("17.9 ms", 17.9e6),
        ("2.55 s", 2.55e9),
        ("0.11–2.55 s", 1.33e9),
        ("304 µs", 304e3),
        ("~0.91x", 0.91),
        ("≥ 12.0 ms", 12e6),
        ("<1 %", 0.01),
        ("-2.0 %", -0.02),
        ("10,857 / 628", 10857.0),
        ("298 1/s", 298.0),
        ("1.50 MiB", 1.5 * 2**20),
        ("624 B", 624.0),
        ("16", 16.0),
        ("n/a", None),
        ("–", None),
        ("the best", None),
        ("", None),
    ],
)
def test_a_number_is_worth_what_it_says(text: str, value: float | None) -> None:
    assert find_value(text) == pytest.approx(value) if value is not None else find_value(text) is None


def test_a_field_carries_the_value_that_it_is_sorted_by() -> None:
    text, page = written("program")
    cells = [facts for facts in page.named("td") if facts.get("data-head") == "On-CPU"]
    assert [cell["data-value"] for cell in cells] == ["1500000000", "1000000000", "500000000"]
    # Words are sorted as words.
    assert all("data-value" not in facts for facts in page.named("td") if facts.get("data-head") == "Waits for")
    assert 'data-value="770000000"' in text


def test_a_flame_graph_is_drawn_by_the_page_with_every_box_and_its_time() -> None:
    text, page = written("program")
    (figure,) = [figure for figure in made_program.view().every_figure if figure.slug == "wait-flame"]
    boxes = [facts for facts in page.named("svg") if facts.get("class") == "frame"]
    assert len(boxes) == len(figure.frames) > 5
    assert [float((box["width"] or "").rstrip("%")) / 100 for box in boxes] == pytest.approx(
        [frame.width for frame in figure.frames], abs=1e-6
    )
    assert "<title>feeder: 840 ms, 92.3 %</title>" in text
    assert figure.alt in "".join(facts.get("aria-label") or "" for facts in page.named("svg"))
