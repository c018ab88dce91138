"""The report in a real browser without a network: what a reader sees first, on a desk, on a telephone, on paper."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.unit.analysis.report import made_program
from tests.unit.analysis.report.made_numbers import Suite, typical
from tracekit import api
from tracekit.analysis.report.write import ReportFiles, write
from tracekit.bundle.store import Store
from tracekit.core.errors import CaptureUnavailable

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


@pytest.fixture(scope="module")
def of_program(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write(made_program.whole(), tmp_path_factory.mktemp("program"))


@pytest.fixture(params=[DESK, TELEPHONE], ids=["desk", "telephone"])
def program(request: pytest.FixtureRequest, chromium: Browser, of_program: ReportFiles) -> Iterator[Opened]:
    width, height = request.param
    yield from _open(chromium, of_program.html, width, height)


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


def test_paper_has_few_pages_and_says_where_the_raw_numbers_are(opened: Opened, report: ReportFiles) -> None:
    raw = opened.page.get_by_text("are in metrics.csv and metrics.json")
    assert not raw.is_visible()
    opened.page.emulate_media(media="print")
    assert raw.is_visible()
    assert not opened.page.get_by_text("The numbers of this page, one by one").is_visible()
    assert not opened.page.get_by_role("navigation").is_visible()
    # Closed on the screen, but worth its paper.
    assert opened.page.get_by_text("Debian GNU/Linux 12").is_visible()
    assert {"metrics.csv", "metrics.json"} <= {path.name for path in report.html.parent.iterdir()}
    assert len(re.findall(rb"/Type\s*/Page\b", opened.page.pdf(prefer_css_page_size=True))) <= 8


CONTRASTS = """() => {
    const mixed = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = text => {
        mixed.clearRect(0, 0, 1, 1); mixed.fillStyle = text; mixed.fillRect(0, 0, 1, 1);
        return mixed.getImageData(0, 0, 1, 1).data;
    };
    const light = ([r, g, b]) => [r, g, b].map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = item => {
        for (; item; item = item.parentElement) {
            const colour = rgb(getComputedStyle(item).backgroundColor);
            if (colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const item = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !item.checkVisibility()) continue;
        const pair = [light(rgb(getComputedStyle(item).color)), light(behind(item))].sort((a, b) => b - a);
        found.push([(pair[0] + 0.05) / (pair[1] + 0.05), walk.currentNode.data.trim()]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read_in_both_schemes(opened: Opened, scheme: Literal["light", "dark"]) -> None:
    """A contrast of 4.5 to 1 is what WCAG asks of text."""
    opened.page.emulate_media(color_scheme=scheme)
    contrasts = opened.page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [item for item in contrasts if item[0] < 4.5] == []
    background = opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_hostile_name_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    suite = Suite(name).cell("serial").cell("threads", speedup=(1.0, 0.9, 1.1))
    for opened in _open(chromium, write(suite.tables(), tmp_path).html, *TELEPHONE):
        assert opened.page.title() == f"{name} · tracekit report"
        assert opened.page.locator("h1").inner_text() == name
        assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= opened.width
        assert opened.asked == []
        assert opened.complaints == []


# A recorded program


def test_the_first_screen_of_a_program_says_where_its_time_went(program: Opened) -> None:
    verdict = program.page.locator(".verdict").first
    assert verdict.inner_text().startswith("app.py took 1.00 s")
    box = verdict.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < program.height
    place = program.page.get_by_role("table").first.bounding_box()
    assert place is not None
    assert place["y"] < program.height * 0.7
    assert program.page.get_by_role("cell", name="SIGKILL").count() == 1


def test_nothing_of_a_program_sticks_out_to_the_side(program: Opened) -> None:
    program.page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    assert program.page.evaluate("document.scrollingElement.scrollWidth") <= program.width
    images = program.page.locator("img")
    assert images.count() == 3
    assert images.evaluate_all("items => items.every(item => item.complete && item.naturalWidth > 0)")
    assert images.evaluate_all("items => items.every(item => item.alt.length > 40)")
    assert program.asked == []
    assert program.complaints == []


def test_attribution_and_sites_are_tables_and_functions_are_code(program: Opened) -> None:
    assert program.page.locator("#attribution").is_visible()
    assert "hog" in program.page.locator(".finding code").all_inner_texts()
    assert program.page.get_by_role("rowheader", name="Thread.join").count() == 1
    assert program.page.get_by_role("rowheader", name="Idle: waits for work").count() == 1


def test_the_files_beside_the_page_are_where_its_links_lead(program: Opened, of_program: ReportFiles) -> None:
    links = program.page.locator(".downloads a")
    names = links.evaluate_all("items => items.map(item => item.getAttribute('href'))")
    assert names == [path.name for path in of_program.downloads]
    # From a file a browser shows text instead of saving it.
    links.first.click()
    program.page.wait_for_url("**/wait.collapsed.txt")
    assert program.page.locator("pre").inner_text().split() == of_program.downloads[0].read_text().split()


def test_a_program_with_hostile_names_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\">" + "y" * 200
    found = made_program.rows()
    found["runs"][0]["workload"] = hostile
    found["threads"][2]["name"] = hostile
    for row in (*found["waits"], *found["holds"]):
        row.update(function=hostile, file=f"/tmp/{hostile}/{hostile}.py")
    tables = made_program.tables(found)
    tables.suite["workload"] = hostile
    files = write(tables, tmp_path)
    for opened in _open(chromium, files.html, *TELEPHONE):
        assert opened.page.title() == f"{hostile} · tracekit report"
        assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= opened.width
        assert opened.asked == []
        assert opened.complaints == []


HOG = """
import threading, time
end = time.monotonic() + 0.6
def hog():
    while time.monotonic() < end:
        sum(range(3000))
def small():
    while time.monotonic() < end:
        sum(range(100)); time.sleep(0.0005)
threads = [threading.Thread(target=work) for work in (hog, small)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize(("width", "height"), [DESK, TELEPHONE], ids=["desk", "telephone"])
def test_a_really_recorded_hog_is_named_in_its_report(
    chromium: Browser, tmp_path: Path, width: int, height: int
) -> None:
    (tmp_path / "app.py").write_text(HOG)
    try:
        recorded = api.record(
            [sys.executable, str(tmp_path / "app.py")],
            store=Store(tmp_path / "store"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except CaptureUnavailable as error:
        pytest.skip(f"{error}; {error.hint}")
    files = api.write_report(api.analyse(recorded.folder), tmp_path)
    for opened in _open(chromium, files.html, width, height):
        assert re.match(r"app\.py took .* it ended with exit code 0", opened.page.locator(".verdict").inner_text())
        assert "hog" in opened.page.locator(".finding code").all_inner_texts()
        assert opened.page.get_by_role("button", name=re.compile("held by .* in hog")).count() >= 1
        assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= width
        opened.page.screenshot(path=tmp_path / "report.png", full_page=True)
