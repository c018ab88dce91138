"""A suite of format 1 that was really run stays readable, and says today what it said then.

The numbers stand here and not among the accepted files, because `make golden` must not be able to change them: what a
bundle holds is a fact. Those of metrics are the ones whose definition is not expected to change.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.number_notices import find_notices
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.tables import Tables
from tracekit.bundle.store import SuiteFolder

STORE = Path(__file__).parent / "bundle"
FOLDER = SuiteFolder(STORE / "20250101-000000-matmul")

WALL_NS = {
    "001-matmul-serial-w1-py3.11.7-warmup": 52843799,
    "002-matmul-threads-w2-py3.11.7-warmup": 43500305,
    "003-matmul-spawn-w2-py3.11.7-warmup": 204064175,
    "004-matmul-serial-w1-py3.11.7-r1": 32126132,
    "005-matmul-threads-w2-py3.11.7-r1": 54525369,
    "006-matmul-spawn-w2-py3.11.7-r1": 290120663,
    "007-matmul-serial-w1-py3.11.7-viztracer": 111176207,
    "008-matmul-threads-w2-py3.11.7-viztracer": 116282936,
    "009-matmul-spawn-w2-py3.11.7-viztracer": 327079827,
}


@pytest.fixture(scope="module")
def tables() -> Tables:
    loaded = load_suite(FOLDER, traces=True)
    loaded.metrics = compute_all(Analysis(loaded))
    return loaded


def test_every_table_has_the_rows_it_had(tables: Tables) -> None:
    counts = {"runs": 9, "processes": 15, "threads": 21, "spans": 162, "slices": 200, "counters": 372}
    assert {name: len(tables.table(name)) for name in counts} == counts
    for name in ("waits", "samples", "sched", "notices"):
        assert tables.table(name).empty


def test_the_runs_are_what_they_were(tables: Tables) -> None:
    assert dict(zip(tables.runs["run_id"], tables.runs["wall_ns"], strict=True)) == WALL_NS
    assert set(tables.runs["checksum"]) == {"d9c66aa1"}
    assert set(tables.runs["items"]) == {16}
    assert set(tables.runs["status"]) == {"ok"}
    assert tables.runs["gil_enabled"].all()


def test_the_workers_are_what_they_were(tables: Tables) -> None:
    workers = tables.processes.query("role == 'worker' and run_id.str.startswith('006')").set_index("worker")
    assert list(workers["pid"]) == [6065, 6068]
    assert list(workers["spawn_requested_ns"]) == [4047406795636, 4047412687121]
    assert list(workers["interpreter_ready_ns"]) == [4047591993014, 4047593673381]
    assert list(workers["last_task_ns"]) == [4047654967649, 4047655272422]


def test_counters_and_calls_are_what_they_were(tables: Tables) -> None:
    switches = tables.counters.query(
        "run_id.str.startswith('006') and counter == 'voluntary_switches' and scope == 'process' and at == 'end'"
    )
    assert dict(zip(switches["pid"], switches["value"], strict=True)) == {6062: 65, 6065: 2, 6068: 0}
    assert int(tables.slices["dur_ns"].sum()) == 5_848_693_329
    assert (tables.slices["name"] == "task (/golden/workloads/matmul.py:27)").sum() == 36


@pytest.mark.parametrize(
    ("model", "capture", "metric", "value"),
    [
        ("serial", "none", "wall_ns", 32126132),
        ("threads", "none", "speedup", 32126132 / 54525369),
        ("spawn", "none", "speedup", 32126132 / 290120663),
        ("threads", "viztracer", "probe_effect", 116282936 / 54525369),
        # The mean of two workers is their median.
        ("spawn", "none", "spawn_first_instruction_ns", (185197378 + 180986260) / 2),
        ("spawn", "none", "voluntary_switches", 65 + 2 + 0),
        ("threads", "none", "uss_bytes", 10256384),
    ],
)
def test_metrics_of_it_are_what_they_were(tables: Tables, model: str, capture: str, metric: str, value: float) -> None:
    rows = tables.metrics
    rows = rows[rows["scope"].eq("cell") & rows["model"].eq(model) & rows["metric"].eq(metric)]
    (row,) = rows[rows["capture"].eq(capture)].to_dict("records")
    assert row["value"] == pytest.approx(value, rel=1e-9)


def test_a_report_can_be_made_of_it(tables: Tables) -> None:
    assert {item.code for item in find_notices(Analysis(tables), tables.metrics)} >= {"few-repeats", "short-runs"}
    assert "0.59x" in to_text(build(tables))


def test_it_holds_no_path_of_the_machine_that_made_it() -> None:
    paths = re.compile(r'["( ](/[^":)]+)')
    found = {
        path for file in STORE.rglob("*") if file.is_file() for path in paths.findall(file.read_text(encoding="utf-8"))
    }
    assert found
    assert all(path.startswith(("/golden/", "/usr/lib/python3/")) for path in found), found
