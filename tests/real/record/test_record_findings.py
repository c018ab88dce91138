"""What the report of a real program says first."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.recording import needs, recorded, script
from tracekit.analysis.diagnostics.engine import Diagnosis, diagnose
from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.bundle.store import Store

DEADLOCK = """
import threading

first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)

def one():
    with first:
        both.wait()
        with second:
            pass

def two():
    with second:
        both.wait()
        with first:
            pass

for work in (one, two):
    threading.Thread(target=work, daemon=True).start()
threading.Event().wait()
"""

SERVES = """
import queue, socket, threading

jobs = queue.SimpleQueue()

def work():
    while True:
        jobs.get()

threading.Thread(target=work, daemon=True).start()
with socket.create_server(("127.0.0.1", 0)) as server:
    server.accept()
"""


def diagnosed(folder: Path, code: str, duration_s: float) -> Diagnosis:
    needs("waits")
    recorded(folder, "--duration", f"{duration_s:g}", "--", sys.executable, script(folder, code))
    tables = load_suite(Store(folder / ".tracekit").suites()[-1])
    return diagnose(Evidence(Analysis(tables), str(tables.runs["run_id"].iloc[0])))


def test_a_deadlock_is_said_first_when_the_program_is_asked_to_end(tmp_path: Path) -> None:
    finding = diagnosed(tmp_path, DEADLOCK, 1.5).said[0]
    assert finding.diagnostic == "hang"
    for function in ("one", "two"):
        assert re.search(rf"had waited \S+ m?s for a lock in `{function}`", finding.sentence), finding.sentence
    assert "until it was asked to end" in finding.sentence


def test_a_server_that_is_ended_while_it_waits_for_a_connection_did_not_hang(tmp_path: Path) -> None:
    """Its worker waits for a job all the time."""
    said = diagnosed(tmp_path, SERVES, 1).said
    assert [finding.diagnostic for finding in said if finding.diagnostic != "no-cpu"] in ([], ["idle-run"])
