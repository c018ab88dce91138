"""`tracekit report --window`: a part of a real program's time; and the marks that a program sets itself."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import MakeOnce, run_tracekit
from tests.real.quick import assert_two_lines
from tests.recording import needs, recorded, script
from tracekit import api
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.ledger.parts import PARTS, WALL
from tracekit.analysis.metrics.window import cut_to_window
from tracekit.analysis.report.build import build
from tracekit.analysis.tables import Tables, records
from tracekit.analysis.timeline.trace import build_run
from tracekit.bundle.store import Store, SuiteFolder

IDLE_THEN_BUSY = """
import threading, time

def compute(until):
    while time.monotonic() < until:
        sum(range(1000))

began = time.monotonic()
threading.Event().wait(1.0)
until = time.monotonic() + 0.6
threads = [threading.Thread(target=compute, args=(until,)) for _ in range(2)]
for thread in threads:
    thread.start()
compute(until)
for thread in threads:
    thread.join()
threading.Event().wait(1.0)
"""


@pytest.fixture
def suite(make_once: MakeOnce) -> SuiteFolder:
    needs("waits")

    def make(folder: Path) -> None:
        done = recorded(folder, "--capture", "waits", "--", sys.executable, script(folder, IDLE_THEN_BUSY))
        assert done.returncode == 0, done.stderr

    return Store(make_once("idle then busy", make) / ".tracekit").suites()[-1]


def share(tables: Tables, part: str) -> float:
    """Of the time of the run's threads."""
    found = {row["metric"]: row for row in records(tables.metrics) if row["scope"] == "run" and row["preferred"]}
    return float(found[part]["value"] / found["thread_wall_ns"]["value"])


def test_idle_seconds_do_not_dilute_those_that_matter(suite: SuiteFolder) -> None:
    whole, busy, idle = (api.analyse(suite, window) for window in ("", "1.2s..1.5s", "0.3s..0.9s"))
    waits = [share(tables, "thread_gil_wait_ns") for tables in (whole, busy, idle)]
    assert waits[1] > 0.5 > waits[0] > waits[2] == 0
    # 3 threads share the GIL, so that two thirds of their time are waits, and the rest was on a CPU or ready.
    assert share(busy, "thread_idle_ns") < 0.05
    assert share(idle, "thread_idle_ns") > 0.95
    (run,) = records(busy.runs)
    assert run["wall_ns"] == 300_000_000
    for tables in (busy, idle):
        (cpu,) = [row for row in records(tables.metrics) if row["metric"] == "cpu_ns" and row["scope"] == "run"]
        assert cpu["quality"] == "bound"
        assert cpu["lower"] <= cpu["upper"]
    assert cpu["upper"] < 0.05 * 600_000_000


def test_by_the_kernels_record_neighbouring_windows_of_a_real_program_add_up(tmp_path: Path) -> None:
    needs("kernel")
    code = IDLE_THEN_BUSY.replace("1.0", "0.2").replace("0.6", "0.3")
    done = recorded(tmp_path, "--capture", "waits,kernel", "--", sys.executable, script(tmp_path, code))
    assert done.returncode == 0, done.stderr
    tables = load_suite(Store(tmp_path / ".tracekit").suites()[-1])
    (run,) = records(tables.runs)
    edges = [run["wall_ns"] * part // 3 for part in range(4)]
    parts = [list_parts(cut_to_window(tables, f"{a}ns..{b}ns")) for a, b in pairwise(edges)]
    both = list_parts(cut_to_window(tables, f"0ns..{edges[2]}ns"))
    assert {part: parts[0].get(part, 0) + parts[1].get(part, 0) for part in both} == both
    whole = list_parts(tables)
    # Of the whole run steal is known, and is no CPU time; in a window it is in the CPU time.
    whole["thread_on_cpu_ns"] += whole.pop("thread_steal_ns", 0)
    assert {part: sum(found.get(part, 0) for found in parts) for part in whole} == whole
    assert whole["thread_gil_wait_ns"] > 0


def list_parts(tables: Tables) -> dict[str, float]:
    """The ledger of the run, ns."""
    analysis, place = Analysis(tables), (tables.runs["run_id"].iloc[0],)
    found = {part: analysis.thread_time(part).get(place) for part in (WALL, *PARTS)}
    return {part: item.value for part, item in found.items() if item is not None and item.available}


def test_the_report_of_a_window_stands_beside_that_of_the_whole(suite: SuiteFolder, tmp_path: Path) -> None:
    words = ("report", str(suite.root), "--reports", str(tmp_path))
    for more in ((), ("--window", "1.2s..1.5s")):
        said = run_tracekit(*words, *more, cwd=tmp_path)
        assert said.code == 0, said.err
    assert "app.py, window 1.2s..1.5s of " in said.out
    whole, window = sorted(tmp_path.iterdir())
    assert (whole.name, window.name) == (suite.suite_id, f"{suite.suite_id}-1.2s..1.5s")
    assert "window 1.2s..1.5s of" in (window / "report.md").read_text()
    assert "window=" not in (whole / "metrics.csv").read_text()
    assert "window=1.2s..1.5s" in (window / "metrics.csv").read_text()


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("90s..99s", "lies outside the run, which took 2."),
        ("2s..1s", "ends where it begins, or before"),
        ("two..3s", "'two' is no time, like 8s or 500ms, and no mark of the program"),
        ("1s", "is not FROM..TO"),
    ],
)
def test_a_window_that_there_is_not_is_an_error_of_two_lines(
    suite: SuiteFolder, tmp_path: Path, window: str, expected: str
) -> None:
    said = run_tracekit("report", str(suite.root), "--window", window, cwd=tmp_path)
    assert_two_lines(said, 2, expected)
    assert not list(tmp_path.iterdir())


def headline(tables: Tables) -> str:
    return build(tables).verdicts[0].lead


MARKED = """
import multiprocessing, threading, time
import tracekit

def compute():
    tracekit.mark("load begins")
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        pass
    tracekit.mark("load ends")

def work():
    other = threading.Thread(target=compute)
    other.start()
    other.join()

if __name__ == "__main__":
    time.sleep(0.3)
    for context in (multiprocessing.get_context(name) for name in ("fork", "spawn")):
        worker = context.Process(target=work)
        worker.start()
        worker.join()
    tracekit.mark("<u>\\x1b[2J")
    time.sleep(0.3)
"""


def test_marks_of_threads_and_workers_are_ends_of_windows_and_on_report_and_timeline(tmp_path: Path) -> None:
    needs("waits")
    done = recorded(tmp_path, "--capture", "waits", "--", sys.executable, script(tmp_path, MARKED))
    assert done.returncode == 0, done.stderr
    (suite,) = Store(tmp_path / ".tracekit").suites()
    (bundle,) = suite.bundles()
    assert sorted(path.name for path in bundle.root.iterdir() if "marks" in path.name) == ["marks.txt"]
    tables = api.analyse(suite)
    marks = records(tables.marks)
    assert [row["name"] for row in marks] == ["load begins", "load ends", "load begins", "load ends", "<u>\x1b[2J"]
    workers = {(row["pid"], row["tid"]) for row in marks[:4]}
    assert len(workers) == 2
    assert workers <= {(row["pid"], row["tid"]) for row in records(tables.threads)}
    (run,) = records(tables.runs)
    assert marks[-1]["pid"] not in {pid for pid, _ in workers}
    # From the first of that name to the last of that one: without what the program slept before and after.
    cut = api.analyse(suite, "load begins..load ends")
    (window,) = records(cut.runs)
    assert (window["start_ns"], window["start_ns"] + window["wall_ns"]) == (marks[0]["ts_ns"], marks[3]["ts_ns"])
    assert window["wall_ns"] < run["wall_ns"] - 500_000_000
    assert headline(cut).startswith("app.py, window load begins..load ends of ")
    page = api.write_report(tables, tmp_path / "reports")
    text = page.markdown.read_text()
    assert text.count("load begins") >= 2
    assert "\x1b" not in text + page.html.read_text()
    assert "<u>" not in page.html.read_text()
    build_run(tables, run["run_id"], tmp_path / "trace.json")
    events = [item for item in json.loads((tmp_path / "trace.json").read_text())["traceEvents"] if item["ph"] == "i"]
    assert [item["name"] for item in events][:4] == ["load begins", "load ends"] * 2
    assert len({(item["pid"], item["tid"]) for item in events}) == 3


def test_marks_are_recorded_under_every_capture_and_nothing_is_left_where_there_are_none(tmp_path: Path) -> None:
    for code, expected in (("import tracekit; tracekit.mark('here')", ["here"]), ("pass", [])):
        folder = tmp_path / (code[:4])
        folder.mkdir()
        done = recorded(folder, "--capture", "none", "--", sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr
        (suite,) = Store(folder / ".tracekit").suites()
        (bundle,) = suite.bundles()
        assert [row["name"] for row in records(load_suite(suite).marks)] == expected
        assert not list(bundle.root.glob(".marks"))
        assert bundle.marks.exists() == bool(expected)
