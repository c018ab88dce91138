"""What a reader can do with the report: follow its links, sort, filter and unfold tables, zoom in the flame graph; and
that the page says the same where no script runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.table_factory import MS
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import HOG
from tracekit.analysis.report.write import write

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program made by hand, and beside it ten small locks, one of 80 ms, and two small processes."""
    found = made.rows()
    found["waits"].append(made.wait(HOG, "lock", 920, 80, "large_lock"))
    found["waits"] += [made.wait(HOG, "lock", 920 + index, 0.5 + index / 10, f"lock_{index}") for index in range(10)]
    for pid in (300, 301):
        found["processes"].append(
            {**found["processes"][1], "pid": pid, "exit_ns": found["processes"][0]["exec_ns"] + 105 * MS}
        )
        found["threads"].append(made.thread(pid, pid, "MainThread", 100, 105, cpu=4))
    return write(made.tables(found), tmp_path_factory.mktemp("tables")).html


@pytest.fixture
def page(chromium: Browser, path: Path) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert errors == []


def sites(page: Page) -> Locator:
    return page.locator("section[aria-labelledby=sites] table")


def column(table: Locator, number: int, body: int = 0) -> list[str]:
    """The main texts of a column of one body's visible rows."""
    rows = table.locator("tbody").nth(body).locator("tr:not(.block):visible")
    return [row.locator("th, td").nth(number).locator(".main").inner_text() for row in rows.all()]


def test_the_contents_and_the_answer_lead_to_their_sections(page: Page) -> None:
    page.keyboard.press("Tab")
    contents = page.get_by_role("navigation", name="Contents")
    expect(contents.get_by_role("link", name="Summary")).to_be_focused()
    contents.get_by_role("link", name="Wait sites").press("Enter")
    assert page.url.endswith("#sites")
    expect(page.get_by_role("heading", name="Wait sites")).to_be_in_viewport()
    page.locator(".verdict").get_by_role("link", name="GIL wait").click()
    assert page.url.endswith("#attribution")
    page.locator("#summary").get_by_role("link", name="900 ms").first.click()
    assert page.url.endswith("#sites")


def test_numbers_are_sorted_by_value_with_keys_and_the_third_time_as_they_were(page: Page) -> None:
    table = sites(page)
    before = column(table, 4)
    assert before == ["100 ms", "20.0 ms", "80.0 ms", "10.0 ms", "1.40 ms"]
    head = table.get_by_role("columnheader", name="Longest")
    button = head.get_by_role("button")
    button.focus()
    for order, wanted in (
        ("descending", ["100 ms", "80.0 ms", "20.0 ms", "10.0 ms"]),
        ("ascending", ["10.0 ms", "20.0 ms", "80.0 ms", "100 ms"]),
    ):
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", order)
        # The row with the sum of what is folded stays below.
        assert column(table, 4) == [*wanted, "1.40 ms"]
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") is None
    assert column(table, 4) == before


def test_words_are_sorted_by_the_alphabet_and_one_column_at_a_time(page: Page) -> None:
    table = sites(page)
    heads = [table.get_by_role("columnheader", name=name) for name in ("Function", "Total")]
    heads[1].get_by_role("button").click()
    heads[0].get_by_role("button").click()
    assert column(table, 0)[:4] == ["hog", "large_lock", "small", "small"]
    assert [head.get_attribute("aria-sort") for head in heads] == ["ascending", None]


def test_folded_rows_open_and_sum_up_to_their_row(page: Page) -> None:
    table = sites(page)
    fold = table.get_by_role("button", name="10 other sites")
    folded = table.locator("tbody.folded")
    expect(fold).to_have_attribute("aria-expanded", "false")
    assert not folded.is_visible()
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")
    rows = table.locator("tbody.folded tr")
    assert rows.count() == 10
    values = rows.evaluate_all("rows => rows.map(row => Number(row.cells[2].dataset.value))")
    total = table.locator("tr.rest").evaluate("row => Number(row.cells[2].dataset.value)")
    assert sum(values) == pytest.approx(total) == 9.5 * MS
    fold.press("Enter")
    assert not folded.is_visible()


def test_a_filter_finds_rows_also_in_what_is_folded(page: Page) -> None:
    table = sites(page)
    place = page.locator("section[aria-labelledby=sites]")
    field = place.get_by_label("Filter rows")
    field.fill("lock_7")
    assert table.locator("tbody tr:visible").all_inner_texts()[0].startswith("lock_7")
    assert table.locator("tbody tr:visible").count() == 1
    expect(place.get_by_role("status")).to_have_text("1 of 15 rows")
    field.fill("")
    expect(place.get_by_role("status")).to_have_text("")
    assert not table.locator("tbody.folded").is_visible()
    assert len(column(table, 0)) == 5


def test_every_number_of_the_suite_can_be_filtered(page: Page) -> None:
    page.locator("#every ~ details summary").click()
    place = page.locator("section[aria-labelledby=every]")
    place.get_by_label("Filter rows").fill("gil_wait_ns")
    names = place.locator("tbody tr:visible th code").all_inner_texts()
    assert names
    assert all("gil_wait_ns" in name for name in names)


def test_a_frame_of_the_flame_graph_is_enlarged_and_found(page: Page) -> None:
    graph = page.locator("#figure-wait-flame")
    whole, feeder = (graph.get_by_role("button", name=name) for name in ("all waits", "feeder: "))
    narrow = feeder.bounding_box()
    feeder.click()
    wide, root = feeder.bounding_box(), whole.bounding_box()
    assert narrow is not None
    assert wide is not None
    assert root is not None
    assert narrow["width"] < wide["width"] == pytest.approx(root["width"], abs=4)
    assert graph.locator(".frame:visible").count() < graph.locator(".frame").count()
    graph.get_by_role("button", name="Show all").click()
    assert graph.locator(".frame:visible").count() == graph.locator(".frame").count()
    graph.get_by_label("Find").fill("sleep")
    expect(graph.locator(".said")).to_have_text("1 found, 14.1 % of all waits")
    assert graph.locator(".frame:not(.dim)").count() == 1


def test_the_flame_graph_can_be_walked_with_keys(page: Page) -> None:
    graph = page.locator("#figure-wait-flame")
    graph.get_by_role("button", name="all waits").focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(graph.get_by_role("button", name="feeder: ")).to_be_focused()
    expect(graph.locator(".said")).to_have_text("feeder: 840 ms, 84.8 %")
    page.keyboard.press("Enter")
    assert graph.get_by_role("button", name="Show all").is_visible()
    page.keyboard.press("Escape")
    assert not graph.get_by_role("button", name="Show all").is_visible()
    # One stop of the Tab key for the whole graph.
    assert graph.locator(".frame[tabindex='0']").count() == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_without_a_script_the_page_is_complete(chromium: Browser, path: Path, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("button, input").count() == 0
    table = sites(page)
    assert table.locator("tbody.folded tr:visible").count() == 10
    assert table.locator("tr.rest").is_visible()
    graph = page.get_by_role("img", name="Waits of 99")
    assert graph.is_visible()
    assert page.locator("#figure-wait-flame .frame:visible").count() > 5
    page.get_by_role("link", name="Wait sites").click()
    expect(page.get_by_role("heading", name="Wait sites")).to_be_in_viewport()
    context.close()


def test_a_telephone_has_no_buttons_that_nobody_sees(chromium: Browser, path: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator(".sort:enabled").count() == 0
    assert not sites(page).locator("tbody.folded").is_visible()
    context.close()
