"""The viewer in a real Chromium: the tracks are there, in order and with slices, and nothing leaves the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import Watched, watched
from tests.conftest import RealSuite
from tests.table_factory import MS, Maker, full_run
from tests.unit.analysis.report import made_program
from tests.unit.analysis.report.made_program import FEEDER, HOG, MAIN, sched
from tracekit.analysis.timeline import SuitePart, TraceFacts, build_run, build_suite
from tracekit.analysis.view import ViewItem, ViewServer

pytestmark = pytest.mark.browser

MODELS = ("threads", "spawn")
NAMES = ('"quoted" \\ <b>', "nul \0 in a name", "行列 \U0001f40d")
LOAD_MS = 60_000
SEARCH_MS = 5_000

_QUERY = """async sql => {
    const found = await window.app.trace.engine.query(sql);
    const columns = found.columns();
    const rows = [];
    for (const row = found.iter({}); row.valid(); row.next()) rows.push(columns.map(name => String(row.get(name))));
    return rows;
}"""
# What a canvas shows: how many of its pixels are coloured, neither white nor grey.
_COLOURED = """() => [...document.querySelectorAll('canvas')].reduce((sum, canvas) => {
    const copy = document.createElement('canvas');
    copy.width = canvas.width; copy.height = canvas.height;
    if (!copy.width || !copy.height) return sum;
    const drawing = copy.getContext('2d');
    drawing.drawImage(canvas, 0, 0);
    const bytes = drawing.getImageData(0, 0, copy.width, copy.height).data;
    let coloured = 0;
    for (let at = 0; at < bytes.length; at += 4) {
        const rgb = [bytes[at], bytes[at + 1], bytes[at + 2]];
        if (bytes[at + 3] > 0 && Math.max(...rgb) - Math.min(...rgb) > 40) coloured += 1;
    }
    return sum + coloured;
}, 0)"""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[ViewItem]:
    """A common trace of two runs and one of each, with answers known beforehand."""
    folder = tmp_path_factory.mktemp("traces")
    maker = Maker()
    runs = [full_run(maker, model, task_ns=100 * MS, capture="viztracer") for model in MODELS]
    for run in runs:
        place = {"run_id": run["run_id"], "pid": run["main_pid"], "tid": run["main_pid"], "category": "python"}
        for depth, name in enumerate(NAMES):
            times = {"start_ns": run["start_ns"] + depth * 1_001, "dur_ns": 50 * MS - depth * 2_002}
            maker.row("slices", **place, **times, name=name, depth=depth)
        if run["model"] == "threads":
            times = {"start_ns": run["start_ns"] + 10 * MS, "dur_ns": 90 * MS}
            maker.row("slices", **{**place, "tid": run["main_pid"] + 2}, **times, name="in a pool thread", depth=0)
    tables = maker.tables()
    parts = [SuitePart(tables, run["run_id"], run["model"]) for run in runs]
    paths = [folder / f"{name}.json.gz" for name in ("all", *MODELS)]
    facts = [build_suite(parts, paths[0])]
    facts += [build_run(tables, part.run_id, path) for part, path in zip(parts, paths[1:], strict=True)]
    return [_item(path, fact) for path, fact in zip(paths, facts, strict=True)]


@pytest.fixture(scope="module")
def address(traces: list[ViewItem]) -> Iterator[str]:
    with ViewServer(traces, port=0) as found:
        yield found


@pytest.fixture
def view(chromium: Browser, address: str) -> Iterator[Watched]:
    """A page on the list of traces that reaches our server only."""
    found = watched(chromium, address.rstrip("/"))
    found.page.goto(address)
    yield found
    found.page.context.close()


def test_a_run_shows_named_tracks_in_order_and_its_calls(view: Watched, tmp_path: Path) -> None:
    page = view.page
    page.get_by_role("link", name="spawn", exact=True).click()
    titles = _open(page)
    page.screenshot(path=tmp_path / "run.png")
    groups = [title for title in titles if re.fullmatch(r"(main|worker \d+) \(spawn\) \d+", title)]
    assert [title.rpartition(" ")[0] for title in groups] == ["main (spawn)", "worker 1 (spawn)", "worker 2 (spawn)"]
    assert titles[:3] == ["phases", "tasks · worker 1", "tasks · worker 2"]
    assert _query(page, "select name, ts, dur, depth from slice where category = 'python' order by depth") == [
        ['"quoted" \\ <b>', "0", str(50 * MS), "0"],
        # The trace processor itself doubles a backslash before an x.
        ["nul \\\\x00 in a name", "1001", str(50 * MS - 2_002), "1"],
        ["行列 \U0001f40d", "2002", str(50 * MS - 4_004), "2"],
    ]
    assert _query(page, "select count(*) from slice where name glob 'task *'") == [["8"]]
    assert page.evaluate(_COLOURED) > 20_000
    _no_harm(view)


def test_all_runs_stand_side_by_side_from_their_starts(view: Watched, tmp_path: Path) -> None:
    page = view.page
    page.get_by_role("link", name="all", exact=True).click()
    titles = _open(page)
    page.screenshot(path=tmp_path / "all.png")
    assert titles[:6] == [
        "threads · phases",
        "threads · tasks · worker 1",
        "threads · tasks · worker 2",
        "spawn · phases",
        "spawn · tasks · worker 1",
        "spawn · tasks · worker 2",
    ]
    assert any(title.startswith("threads · main ") for title in titles)
    assert any(title.startswith("worker 2 (threads) ") for title in titles)
    assert _query(page, "select ts from slice where name = 'run'") == [["0"], ["0"]]
    _no_harm(view)


def test_the_search_box_finds_a_call(view: Watched) -> None:
    page = view.page
    page.get_by_role("link", name="threads", exact=True).click()
    _open(page)
    box = page.locator("input[placeholder*='Search']")
    found = page.get_by_text(re.compile(r"1\s*/\s*1"))
    # While the UI still starts it may drop what is typed.
    for _ in range(LOAD_MS // SEARCH_MS):
        box.fill("quoted")
        box.press("Enter")
        with suppress(AssertionError):
            expect(found).to_be_visible(timeout=SEARCH_MS)
            break
    expect(found).to_be_visible()
    _no_harm(view)


def test_the_list_is_a_page_without_scripts(view: Watched, tmp_path: Path) -> None:
    view.page.screenshot(path=tmp_path / "list.png")
    assert view.page.locator("tbody tr").count() == 3
    assert view.page.locator("script").count() == 0
    _no_harm(view)


def test_a_program_shows_its_gil_its_waits_and_who_was_on_which_cpu(chromium: Browser, tmp_path: Path) -> None:
    """The hog has CPU 0 but for 10 ms in each cycle; the feeder runs then, and waits for the GIL before."""
    found = made_program.rows()
    for at in range(0, made_program.CYCLES * made_program.CYCLE, made_program.CYCLE):
        found["sched"] += [
            sched(HOG, "running", at, 100, cpu=0),
            sched(HOG, "runnable", at + 100, 10),
            sched(HOG, "running", at + 110, 20, cpu=0),
            sched(FEEDER, "sleeping", at, 99),
            sched(FEEDER, "runnable", at + 99, 1),
            sched(FEEDER, "running", at + 100, 10, cpu=0),
            sched(FEEDER, "sleeping", at + 110, 20),
        ]
    found["sched"].append(sched(MAIN, "running", 0, 100, cpu=1))
    path = tmp_path / "app.json.gz"
    facts = build_run(made_program.loaded(found), made_program.RUN, path)
    with ViewServer([_item(path, facts)], port=0) as address:
        view = watched(chromium, address.rstrip("/"))
        view.page.goto(address)
        titles = _open(view.page, first="GIL of main")
        view.page.screenshot(path=tmp_path / "program.png")
        assert titles[:5] == [
            "CPU 0 Scheduling",
            "CPU 1 Scheduling",
            "GIL of main",
            "GIL · thread 101",
            "GIL · feeder",
        ]
        assert {"waits · feeder", "waits · main thread", "main (app.py) 100"} <= set(titles)
        waited = (
            "select name, count(*), sum(dur), max(depth) from slice where name glob 'waiting*' group by 1 order by 1"
        )
        assert _query(view.page, waited) == [
            ["waiting · hog", "7", str(70 * MS), "0"],
            ["waiting · small", "7", str(700 * MS), "0"],
        ]
        on_cpu = "select tid, cpu, sum(dur) from sched join thread using (utid) where tid > 0 group by 1, 2 order by 1"
        assert _query(view.page, on_cpu) == [
            ["100", "1", str(100 * MS)],
            ["101", "0", str(7 * 120 * MS)],
            ["102", "0", str(7 * 10 * MS)],
        ]
        states = (
            "select state, sum(dur) from thread_state join thread using (utid) where tid = 102 and dur > 0 group by 1"
        )
        of_feeder = {state: int(time) for state, time in _query(view.page, states)}
        assert of_feeder["Running"] == 70 * MS
        assert of_feeder["R"] == 7 * MS
        named = _query(view.page, "select tid, name from thread where tid in (101, 102) order by 1")
        assert named == [["101", "thread"], ["102", "feeder"]]
        _no_harm(view)
        view.page.context.close()


def test_a_page_of_another_origin_cannot_read_a_trace(chromium: Browser, address: str, traces: list[ViewItem]) -> None:
    with ViewServer(traces[:1], port=0) as other:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(other + "vizviewer_info")
        read = """async address => {
            try { return (await (await fetch(address)).text()).length } catch (error) { return 'refused' }
        }"""
        assert page.evaluate(read, other + "vizviewer_info") == 2
        assert page.evaluate(read, address + "localtrace") == "refused"
        context.close()


def test_a_real_suite_shows_the_calls_of_every_worker(chromium: Browser, real_suite: RealSuite, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tracekit", "view", real_suite.suite_id, "--no-browser"],
        cwd=real_suite.folder,
        env={name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        address = _announced(process)
        found = watched(chromium, address.rstrip("/"))
        page = found.page
        page.goto(address)
        page.get_by_role("link", name=re.compile("^all runs")).click()
        titles = _open(page)
        page.screenshot(path=tmp_path / "real.png")
        for model in ("fork", "spawn", "forkserver"):
            assert any(re.fullmatch(rf"{model}.* · worker 2 \d+", title) for title in titles), titles
        workers = _query(
            page,
            "select process.name, count(*) from slice join thread_track on slice.track_id = thread_track.id "
            "join thread using (utid) join process using (upid) group by 1",
        )
        for model in ("fork", "spawn", "forkserver"):
            busy = [name for name, count in workers if re.match(rf"{model}\b.*worker", name) and int(count) > 100]
            assert len(busy) == 2, workers
        _no_harm(found)
        page.context.close()
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")


def _item(path: Path, facts: TraceFacts) -> ViewItem:
    return ViewItem(
        title=path.name.partition(".")[0],
        path=path,
        calls=facts.calls,
        processes=facts.processes,
        overview=facts.overview,
    )


def _open(page: Page, first: str = "tasks · worker 1") -> list[str]:
    """Wait until the trace is drawn, with the track `first`; the titles of all tracks, from the top."""
    page.wait_for_function("window.app?.trace?.workspace?.title === 'tracekit'", timeout=LOAD_MS)
    expect(page.get_by_text(first).first).to_be_visible(timeout=LOAD_MS)
    page.wait_for_function(f"({_COLOURED})() > 0", timeout=LOAD_MS)
    titles = page.evaluate("window.app.trace.workspace.flatTracksOrdered.map(track => track.name)")
    assert isinstance(titles, list)
    return [str(title) for title in titles]


def _query(page: Page, sql: str) -> list[list[str]]:
    """Ask the UI's own query engine."""
    rows: Any = page.evaluate(_QUERY, sql)
    assert isinstance(rows, list)
    return rows


def _no_harm(view: Watched) -> None:
    """Nothing left the machine, no script failed, and the importer lost nothing."""
    assert view.left_machine == []
    assert view.errors == []
    if view.page.evaluate("!!window.app?.trace"):
        lost = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
        assert _query(view.page, lost) == []


def _announced(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"viewing \d+ traces at (http://\S+/)", line):
            return found.group(1)
    pytest.fail(f"tracekit view ended: {said}")
