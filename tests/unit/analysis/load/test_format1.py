"""Bundles of format 1: an old record of each workload becomes the row that format 2 would have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.analysis.load.made_bundles import lines, main_stream, make_bundle, spec
from tracekit.analysis.load import load_run
from tracekit.analysis.report.pages import COMPARISON, load_page
from tracekit.analysis.tables import records

ROWS = [
    ("race", "updates_lost", 50.0, {"what": "updates_lost", "value": 50.0}),
    ("shared-state", "mains_writes_seen", 1.0, {"what": "mains_writes_seen", "value": 1.0}),
    ("loop-lag", "beat_late_ns", 5e6, {"what": "beat_late_ns", "value": 5e6}),
    ("matmul-numpy", "blas_threads", 2.0, {"what": "blas_threads", "value": 2.0}),
    ("mine.work:WORKLOAD", "a.b", 2.0, {"what": "a.b", "value": 2.0}),
    (
        "ipc",
        "pickle-out-of-band.64KiB.dumps_ns",
        900.0,
        {"what": "dumps_ns", "channel": "pickle-out-of-band", "size": 1 << 16, "value": 900.0},
    ),
    (
        "crash",
        "ProcessPoolExecutor-fork.os-exit.noticed_ns",
        2e6,
        {"what": "noticed_ns", "pool": "ProcessPoolExecutor", "start_method": "fork", "case": "os-exit", "value": 2e6},
    ),
    (
        "crash",
        "Thread.sigkill.parent_lives",
        0.0,
        {"what": "parent_lives", "pool": "Thread", "case": "sigkill", "value": 0.0},
    ),
    (
        "holding",
        "fork-frozen.collected.pss_bytes",
        2e6,
        {"what": "pss_bytes", "start_method": "fork-frozen", "phase": "collected", "value": 2e6},
    ),
    (
        "holding",
        "spawn.total-8.pss_bytes",
        8e6,
        {"what": "pss_bytes", "start_method": "spawn", "phase": "total", "size": 8, "value": 8e6},
    ),
    (
        "holding",
        "spawn.until_nofile",
        250.0,
        {"what": "workers_possible", "start_method": "spawn", "case": "nofile", "value": 250.0},
    ),
    (
        "holding",
        "exhaustion.threads.address-space.started",
        30.0,
        {"what": "started", "start_method": "threads", "phase": "exhausted", "case": "address-space", "value": 30.0},
    ),
    (
        "holding",
        "exhaustion.fork.tasks.error",
        2.0,
        {
            "what": "error",
            "start_method": "fork",
            "phase": "exhausted",
            "case": "tasks",
            "text": "BlockingIOError: [Errno 11] Resource temporarily unavailable",
        },
    ),
    (
        "holding",
        "exhaustion.fork.tasks.skipped",
        1.0,
        {
            "what": "skipped",
            "start_method": "fork",
            "phase": "exhausted",
            "case": "tasks",
            "text": "stderr.log of the run says why",
        },
    ),
]


@pytest.mark.parametrize(("workload", "name", "value", "wanted"), ROWS)
def test_an_old_name_becomes_a_row(
    workload: str, name: str, value: float, wanted: dict[str, Any], tmp_path: Path
) -> None:
    tables = load_run(old_bundle(tmp_path, workload, name, value))
    (row,) = records(tables.observations)
    assert {
        key: item for key, item in row.items() if item not in (None, "") and key not in ("run_id", "unit")
    } == wanted
    assert row["unit"] == ("" if "text" in wanted else "count")
    assert "workload" not in set(tables.counters["scope"])


@pytest.mark.parametrize(
    ("workload", "page"),
    [("holding", "footprint"), ("ipc", "ipc"), ("crash", "faults"), ("start-stop", "starts"), ("matmul", "")],
)
def test_an_old_workload_has_its_page(workload: str, page: str, tmp_path: Path) -> None:
    tables = load_run(old_bundle(tmp_path, workload, "a", 1.0))
    assert tables.suite["page"] == page
    assert callable(load_page(page or COMPARISON))


def old_bundle(folder: Path, workload: str, name: str, value: float) -> Any:
    """A run of format 1 with one observation, a counter of the main process."""
    counter = {
        "kind": "counter",
        "tid": None,
        "ts_ns": 1,
        "counter": name,
        "value": value,
        "unit": "count",
        "scope": "workload",
        "source": "workload",
        "at": "end",
    }
    meta, *rest = main_stream()
    stream = [{**meta, "format": 1}, *rest, counter]
    return make_bundle(folder, spec("a", workload=workload), streams={"100.jsonl": lines(stream)})
