"""`tracekit report --window`: a part of a real program's time, under a capture that saw it all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import MakeOnce, run_tracekit
from tests.real.quick import assert_two_lines
from tests.recording import needs, recorded, script
from tracekit import api
from tracekit.analysis.tables import Tables, records
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
