"""The CPU time of a recorded program's processes: of one that was killed, and under captures that record no waits."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.recording import needs, only_bundle, recorded, script
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import records
from tracekit.bundle.store import Store

KILLED = """
import os, signal, sys, time
def compute(until_s):
    while time.process_time() < until_s: pass
child = os.fork()
compute(0.2 if child else 0.15)
if not child:
    time.sleep(0.02)
    compute(0.4)
    os.kill(os.getpid(), signal.SIGKILL)
used = os.wait4(child, 0)[2]
with open(sys.argv[1], "w") as file:
    print(time.process_time_ns(), round((used.ru_utime + used.ru_stime) * 1e9), file=file)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_what_a_killed_process_computed_since_its_last_wait_is_in_its_cpu_time(tmp_path: Path) -> None:
    """Its threads' clocks were last read at their waits. Of the program's own process tracekit reads the clock; of a
    child that was killed it gives a bound."""
    name, out = script(tmp_path, KILLED), tmp_path / "used"
    done = recorded(tmp_path, "--quiet", "--", sys.executable, name, str(out))
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    own_ns, child_ns = map(int, out.read_text(encoding="ascii").split())
    tables = load_suite(Store(tmp_path / ".tracekit").suites()[0])
    rows = records(compute_all(Analysis(tables), ["cpu_ns", "thread_on_cpu_ns"]))
    roles = {row["pid"]: row["role"] for row in records(tables.processes)}
    found = {roles[row["pid"]]: row for row in rows if row["metric"] == "cpu_ns" and row["scope"] == "process"}
    assert found["main"]["quality"] == "measured"
    # What it used after its own reading was the writing of a line.
    assert own_ns <= found["main"]["value"] <= own_ns + 50_000_000
    child = found["other"]
    assert child["quality"] == "bound"
    # getrusage counts in microseconds, and from the fork on; the probe read the clock at the sleep at the latest.
    assert 140_000_000 < child["lower"] <= child_ns + 1_000
    assert child_ns <= child["upper"] + 1_000
    on_cpu = [row for row in rows if row["metric"] == "thread_on_cpu_ns" and row["scope"] == "process"]
    assert {row["quality"] for row in on_cpu} == {"bound"}
    notices = tables.notices.set_index("code")["text"]
    assert "what it did until then is recorded" in notices["run-failed"]


@pytest.mark.parametrize("capture", ["none", "viztracer", "py-spy"])
def test_the_cpu_time_of_the_first_process_is_known_under_every_capture(capture: str, tmp_path: Path) -> None:
    """That of the program is not: nobody saw whether it started others."""
    if capture == "py-spy":
        needs("py-spy")
    code = "import time\nwhile time.process_time() < 0.2: pass"
    done = recorded(tmp_path, "--quiet", "--capture", capture, "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    manifest = only_bundle(tmp_path).manifest()
    window = manifest["program_window"]
    assert 200_000_000 <= manifest["program_cpu_ns"] <= 4 * (window[1] - window[0])
    tables = load_suite(Store(tmp_path / ".tracekit").suites()[0])
    (run,) = [row for row in records(compute_all(Analysis(tables), ["cpu_ns"])) if row["scope"] == "run"]
    assert run["quality"] == "unavailable"
    assert "capture waits or kernel" in run["reason"]
