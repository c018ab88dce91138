"""What the diagnostics find in a program made by hand."""

from __future__ import annotations

from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.diagnostics.engine import Diagnosis, diagnose
from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Finding
from tracekit.analysis.metrics.analysis import Analysis

THREADING = "/usr/lib/python3.13/threading.py"
JOIN = {"function": "Thread.join", "file": THREADING, "line": 1056}
QUEUE_GET = {"function": "Queue.get", "file": "/usr/lib/python3.13/queue.py", "line": 154}
POPEN_WAIT = {"function": "Popen.poll", "file": "/usr/lib/python3.13/multiprocessing/popen_fork.py", "line": 24}
APP = "/home/me/app.py"


def diagnosis(program: Program) -> Diagnosis:
    return diagnose(evidence(program))


def evidence(program: Program) -> Evidence:
    return Evidence(Analysis(program.tables()), str(program.run["run_id"]))


def found(program: Program, name: str) -> list[Finding]:
    """The findings of one diagnostic that are said."""
    return [finding for finding in diagnosis(program).said if finding.diagnostic == name]


def only(program: Program, name: str) -> Finding:
    (finding,) = found(program, name)
    return finding
