"""The report in a real browser without a network: what a reader sees first, on a desk, on a telephone, on paper."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.unit.report.made_numbers import Suite, typical
from tracekit.report.write import ReportFiles, write

pytestmark = pytest.mark.browser

DESK = (1280, 800)
TELEPHONE = (390, 844)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The page, and everything it did that it should not do."""

    page: Page
    width: int
    height: int
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write(typical().tables(), tmp_path_factory.mktemp("report"))


@pytest.fixture(params=[DESK, TELEPHONE], ids=["desk", "telephone"])
def opened(request: pytest.FixtureRequest, chromium: Browser, report: ReportFiles) -> Iterator[Opened]:
    width, height = request.param
    yield from _open(chromium, report.html, width, height)


def _open(chromium: Browser, path: Path, width: int, height: int) -> Iterator[Opened]:
    context = chromium.new_context(viewport={"width": width, "height": height}, offline=True)
    result = Opened(page=context.new_page(), width=width, height=height)

    def decide(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            result.asked.append(route.request.url)
            route.abort()

    context.route("**/*", decide)
    result.page.on("console", lambda message: result.complaints.append(message.text))
    result.page.on("pageerror", lambda error: result.complaints.append(str(error)))
    result.page.goto(path.as_uri())
    yield result
    context.close()


def test_the_first_screen_answers_the_question(opened: Opened) -> None:
    verdict = opened.page.locator(".verdict").first
    assert "2 processes (fork) run matmul 1.82x as fast as serial" in verdict.inner_text()
    box = verdict.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < opened.height
    table = opened.page.get_by_role("table").first
    assert table.is_visible()
    place = table.bounding_box()
    assert place is not None
    assert place["y"] < opened.height * 0.6
    if opened.width == DESK[0]:
        assert place["y"] + place["height"] <= opened.height


def test_nothing_sticks_out_to_the_side(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= opened.width


def test_every_figure_is_there_and_has_words(opened: Opened) -> None:
    images = opened.page.locator("img")
    assert images.count() == 5
    assert images.evaluate_all("items => items.every(item => item.complete && item.naturalWidth > 0)")
    assert images.evaluate_all("items => items.every(item => item.alt.length > 40)")


def test_the_page_asks_for_nothing_and_complains_of_nothing(opened: Opened) -> None:
    assert opened.asked == []
    assert opened.complaints == []


def test_the_style_sheet_passes_the_page_s_own_policy(opened: Opened) -> None:
    assert opened.page.evaluate("getComputedStyle(document.querySelector('.tag')).fontStyle") == "italic"


def test_the_table_of_cards_is_still_a_table_to_a_screen_reader(opened: Opened) -> None:
    assert opened.page.get_by_role("rowheader", name="processes (fork)").count() >= 1
    assert opened.page.get_by_role("cell", name="1.82x").count() >= 1


def test_on_paper_the_collapsed_numbers_are_printed(opened: Opened) -> None:
    every = opened.page.locator("table.every")
    assert not every.is_visible()
    opened.page.emulate_media(media="print")
    assert every.is_visible()
    assert opened.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_hostile_name_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    suite = Suite(name).cell("serial").cell("threads", speedup=(1.0, 0.9, 1.1))
    for opened in _open(chromium, write(suite.tables(), tmp_path).html, *TELEPHONE):
        assert opened.page.title() == f"{name} · tracekit report"
        assert opened.page.locator("h1").inner_text() == name
        assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= opened.width
        assert opened.asked == []
        assert opened.complaints == []
