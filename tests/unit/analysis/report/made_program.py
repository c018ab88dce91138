"""A recorded program made by hand, with a GIL hog in it, so that a test knows every answer before it asks.

It lasts 1 s under capture `waits` and has four threads:

    main, 100/100   100 ms on-CPU, then 900 ms in Thread.join (idle)
    100/101         a hog: in `hog` all the time; waits 7 times 10 ms for the GIL
    100/102         `feeder`: in `small`; 7 times: waits 100 ms for the GIL while the hog holds it, has it for 10 ms,
                    and sleeps 20 ms
    200/200         a child process of 500 ms, killed by SIGKILL

The metrics are computed by tracekit.analysis.metrics, as in a real report.
"""

from __future__ import annotations

import signal
from functools import cache
from typing import Any

from tests.table_factory import BOOT_NS, ENVIRONMENT, MS
from tracekit.analysis import tables as schema
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.report.build import build
from tracekit.analysis.report.ledger import PARTS, WHOLE
from tracekit.analysis.report.sections.gil import RECORDED
from tracekit.analysis.report.views import ReportView, Section, TableView
from tracekit.analysis.tables import Tables

METRICS_READ = (
    *("wall_ns", "cpu_ns", "gil_wait_ns", "gil_wait_share", "voluntary_switches", "involuntary_switches"),
    *("gil_handoff_latency_ns", "gil_waiter_switches", *RECORDED, WHOLE, *PARTS),
)
"""The metrics that a report of a program shows."""

RUN = "001-app.py"
MAIN, HOG, FEEDER, CHILD = 100, 101, 102, 200
CYCLES, CYCLE = 7, 130
PYTHON = "/opt/python3.13/bin/python3.13"
FILE = "/home/me/app.py"
PLACES = {
    "hog": (FILE, 10),
    "small": (FILE, 20),
    "Thread.join": ("/opt/python3.13/lib/python3.13/threading.py", 1056),
}

Rows = dict[str, list[dict[str, Any]]]


def rows() -> Rows:
    """Every table's rows; a test may change them."""
    found: Rows = {name: [] for name in schema.COLUMNS}
    found["runs"].append(
        {
            "suite_id": "20250101-000000-app.py",
            "run_id": RUN,
            "workload": "app.py",
            "size": "",
            "parameters": "",
            "model": "program",
            "workers": 1,
            "start_method": "",
            "capture": "waits",
            "os": "Linux",
            "python": "3.13",
            "kind": "program",
            "control": False,
            "repeat": 1,
            "warmup": False,
            "gil_enabled": True,
            "status": "ok",
            "exit_code": 3,
            "start_ns": BOOT_NS,
            "wall_ns": 1000 * MS,
        }
    )
    found["processes"] += [
        _process(MAIN, 1, "main", 0, 1000, 3, "exit"),
        {
            **_process(CHILD, MAIN, "other", 100, 600, -signal.SIGKILL, "signal"),
            "spawn_requested_ns": BOOT_NS + 100 * MS,
        },
    ]
    found["threads"] += [
        thread(MAIN, MAIN, "MainThread", 0, 1000, cpu=100, role="main"),
        thread(MAIN, HOG, "python3.13", 0, 1000, cpu=830, queue=100),
        thread(MAIN, FEEDER, "feeder", 0, 1000, cpu=70, queue=90),
        thread(CHILD, CHILD, "MainThread", 100, 600, cpu=500),
    ]
    found["waits"].append(wait(MAIN, "lock", 100, 900, "Thread.join"))
    for at in range(0, CYCLES * CYCLE, CYCLE):
        found["waits"] += [
            wait(FEEDER, "gil", at, 100, "small", holder=HOG),
            wait(HOG, "gil", at + 100, 10, "hog", holder=FEEDER),
            wait(FEEDER, "sleep", at + 110, 20, "small"),
        ]
        found["holds"] += [hold(HOG, at, at + 100, "hog"), hold(FEEDER, at + 100, at + 110, "small")]
    return found


@cache
def whole() -> Tables:
    """The program as it is described above; not to be changed."""
    return tables(rows())


@cache
def view() -> ReportView:
    """The report of that."""
    return build(whole())


def tables(given: Rows) -> Tables:
    """As tracekit.api.analyse leaves a suite that `tracekit record` made."""
    made = loaded(given)
    made.metrics = compute_all(Analysis(made), METRICS_READ)
    return made


def loaded(given: Rows) -> Tables:
    """As tracekit.analysis.load leaves it: without metrics."""
    suite = {
        "suite_id": "20250101-000000-app.py",
        "workload": given["runs"][0]["workload"],
        "size": "",
        "command": ["tracekit", "record", "--", "python", "app.py"],
        "page": "program",
        "status": "ok",
        "environments": [ENVIRONMENT],
    }
    return Tables(suite=suite, **{name: schema.from_rows(name, given[name]) for name in schema.COLUMNS})


def wait(tid: int, kind: str, at: float, length: float, function: str, *, holder: int | None = None) -> dict[str, Any]:
    """One wait of a thread of the main process; times in ms from the run's begin."""
    of_gil = kind in ("gil", "gil-switch")
    return {
        **_site(tid, function),
        "kind": kind,
        "start_ns": BOOT_NS + round(at * MS),
        "dur_ns": round(length * MS),
        "object": "gil 1" if of_gil else "0x7f00" if kind == "lock" else "",
        "holder_tid": holder,
    }


def hold(tid: int, start: float, end: float, function: str) -> dict[str, Any]:
    """One hold of the main process's GIL; times in ms from the run's begin."""
    stamps = {"start_ns": BOOT_NS + round(start * MS), "end_ns": BOOT_NS + round(end * MS)}
    return {**_site(tid, function), "object": "gil 1", **stamps}


def thread(
    pid: int, tid: int, name: str, start: int, end: int, *, cpu: int, queue: int = 0, role: str = "other"
) -> Any:
    """One thread; times in ms."""
    return {
        "run_id": RUN,
        "pid": pid,
        "tid": tid,
        "name": name,
        "role": role,
        "start_ns": BOOT_NS + start * MS,
        "end_ns": BOOT_NS + end * MS,
        "cpu_ns": cpu * MS,
        "run_queue_wait_ns": queue * MS,
        "voluntary_switches": 20,
        "involuntary_switches": 2,
    }


def sched(tid: int, state: str, start: float, length: float, *, cpu: int | None = None) -> dict[str, Any]:
    """One scheduling interval of a thread of the main process; times in ms."""
    times = {"start_ns": BOOT_NS + round(start * MS), "dur_ns": round(length * MS)}
    return {"run_id": RUN, "cpu": cpu, "pid": MAIN, "tid": tid, "state": state, **times}


def _process(pid: int, ppid: int, role: str, start: int, end: int, code: int, ended: str) -> dict[str, Any]:
    return {
        "run_id": RUN,
        "pid": pid,
        "ppid": ppid,
        "start_ticks": 100,
        "role": role,
        "exec_ns": BOOT_NS + start * MS,
        "exit_ns": BOOT_NS + end * MS,
        "exit_code": int(code),
        "ended": ended,
        "executable": PYTHON,
    }


def _site(tid: int, function: str) -> dict[str, Any]:
    file, line = PLACES.get(function, (FILE, 1))
    place = {"function": function, "file": file, "line": line} if function else {}
    return {"run_id": RUN, "pid": MAIN, "tid": tid, "method": "waits-probe", **place}


def section(view: ReportView, slug: str) -> Section:
    (found,) = [item for item in view.sections if item.slug == slug]
    return found


def lines(table: TableView) -> dict[str, list[str]]:
    """What a table says: the fields' numbers by `label, detail`."""
    return {
        f"{row.label}, {row.detail}": [field.main for field in row.fields]
        for block in table.groups
        for row in block.rows
    }
