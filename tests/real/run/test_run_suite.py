"""One real suite from the command to its numbers: what must be there, what must hold on any machine."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import MakeOnce, RealSuite, Tracekit, make_suite_once
from tests.recording import needs
from tracekit import api
from tracekit.analysis.tables import COLUMNS
from tracekit.analysis.view.items import find_traces
from tracekit.bundle.store import Store

MODELS = {"serial", "threads", "fork", "spawn", "forkserver"}
PROCESS_MODELS = {"fork", "spawn", "forkserver"}


Cells = dict[tuple[str, str, int, str], dict[str, Any]]
"""Metric rows of scope cell: (workload, model, workers, capture) -> metric -> row."""


@pytest.fixture(scope="module")
def cells(make_once: MakeOnce) -> Cells:
    """As many runs and controls as numbers need: for tests that compare times, which run alone."""
    words = ("--size", "small", "--runs", "5", "--workers", "2")
    return cells_of(make_suite_once(make_once, "measured suite", "matmul", *words))


@pytest.fixture(scope="module")
def threads_only(make_once: MakeOnce) -> Cells:
    """One thread beside two."""
    words = ("--size", "small", "--runs", "5", "--workers", "1,2", "--models", "threads")
    more = ("--no-controls", "--capture", "none")
    return cells_of(make_suite_once(make_once, "measured threads", "matmul", *words, *more))


def cells_of(suite: RealSuite) -> Cells:
    found: Cells = defaultdict(dict)
    for row in suite.rows("metrics"):
        if row["scope"] == "cell":
            found[row["workload"], row["model"], row["workers"], row["capture"]][row["metric"]] = row
    return found


@pytest.mark.measures
def test_every_model_has_the_promised_metrics(cells: Cells) -> None:
    for model in MODELS:
        workers = 1 if model == "serial" else 2
        rows = cells["matmul", model, workers, "none"]
        for metric in ("wall_ns", "cpu_ns", "speedup", "gil_wait_ns", "voluntary_switches", "involuntary_switches"):
            row = rows[metric]
            assert row["quality"] in ("measured", "bound"), (model, metric, row)
            assert row["method"], (model, metric)
            assert row["value"] is not None, (model, metric)
        wall = rows["wall_ns"]
        assert wall["n"] == 5
        assert wall["lower"] <= wall["value"] <= wall["upper"]
        gil = rows["gil_wait_ns"]
        assert 0 <= gil["lower"] <= gil["value"] <= gil["upper"]
        for part in ("viztracer", "py-spy"):
            # VizTracer's run carries the wait probe where that works.
            [capture] = {key[3] for key in cells if key[:3] == ("matmul", model, workers) and part in key[3].split("+")}
            effect = cells["matmul", model, workers, capture]["probe_effect"]
            assert effect["quality"] == "measured"
            assert effect["value"] > 0


@pytest.mark.measures
def test_process_models_tell_what_a_worker_costs(cells: Cells) -> None:
    for model in PROCESS_MODELS | {"threads"}:
        rows = cells["matmul", model, 2, "none"]
        first = rows["spawn_first_instruction_ns"]
        assert first["quality"] == "measured"
        assert 0 < first["value"] < rows["spawn_total_ns"]["value"]
    serial = cells["matmul", "serial", 1, "none"]["spawn_first_instruction_ns"]
    assert (serial["quality"], serial["value"]) == ("unavailable", None)
    assert serial["reason"]


@pytest.mark.measures
def test_starting_threads_is_cheaper_than_fork_and_fork_than_spawn(cells: Cells) -> None:
    """The order of magnitude between them is the reason the tool exists; it holds on every Linux.

    Of the first worker: a second thread's first instruction waits for the GIL that the first one holds.
    """
    cost = {m: cells["matmul", m, 2, "none"]["spawn_first_worker_ns"]["value"] for m in ("threads", "fork", "spawn")}
    assert cost["threads"] < cost["fork"] < cost["spawn"]


@pytest.mark.measures
def test_threads_wait_for_the_gil_and_processes_do_not(cells: Cells) -> None:
    threads = cells["matmul", "threads", 2, "none"]
    # Two threads that both want it all the time: each waits about half of the wall, one wall together.
    assert threads["gil_wait_ns"]["upper"] > 0.4 * threads["wall_ns"]["value"]
    for model in PROCESS_MODELS:
        row = cells["matmul", model, 2, "none"]["gil_wait_ns"]
        assert (row["upper"], row["method"]) == (0, "single-thread")


@pytest.mark.measures
def test_a_sleeping_thread_needs_no_gil(cells: Cells) -> None:
    assert cells["sleep", "threads", 2, "none"]["speedup"]["value"] > 1.5


@pytest.mark.measures
def test_a_gil_waiter_wakes_again_and_again(threads_only: Cells) -> None:
    """Two spinning threads ask for the GIL every 5 ms; one shares it only with the main thread, between tasks."""
    switches = {
        workers: threads_only["matmul", "threads", workers, "none"]["voluntary_switches_per_s"]["value"]
        for workers in (1, 2)
    }
    assert switches[2] > switches[1] > 0


@pytest.mark.measures
def test_memory_is_read_once_in_the_warm_up(cells: Cells) -> None:
    for model in MODELS:
        workers = 1 if model == "serial" else 2
        row = cells["matmul", model, workers, "none"]["uss_bytes"]
        assert row["quality"] == "measured", (model, row)
        assert row["value"] > 1_000_000
    spawn = cells["matmul", "spawn", 2, "none"]["uss_bytes"]["value"]
    assert spawn > cells["matmul", "threads", 2, "none"]["uss_bytes"]["value"]


def test_results_agree(real_suite: RealSuite) -> None:
    runs = real_suite.rows("runs")
    sums = defaultdict(set)
    for row in runs:
        sums[row["workload"]].add(row["checksum"])
    assert {name: len(found) for name, found in sums.items()} == {"matmul": 1, "spin": 1, "sleep": 1, "worker-costs": 1}


def test_start_methods_are_recorded(real_suite: RealSuite) -> None:
    runs = real_suite.rows("runs")
    for row in runs:
        assert row["start_method"] == (row["model"] if row["model"] in PROCESS_MODELS else "")


def test_the_environment_is_known(real_suite: RealSuite) -> None:
    manifest = json.loads(next(real_suite.root.glob("*-threads-w2-*-r1/manifest.json")).read_text())
    environment = manifest["environment"]
    assert environment["os"] == "Linux"
    assert environment["kernel"]
    assert 1 <= environment["usable_cpus"] <= environment["logical_cpus"]
    meta = next(
        record
        for path in real_suite.root.glob("*-threads-w2-*-r1/streams/*.jsonl")
        for record in [json.loads(path.read_text().splitlines()[0])]
        if record.get("role") == "main"
    )
    assert meta["python"]["gil_enabled"] is True
    assert meta["python"]["start_method_default"] in ("fork", "forkserver", "spawn")


@pytest.mark.parametrize("table", ["metrics", "processes", "slices", "samples"])
def test_a_table_says_the_same_in_every_format(real_suite: RealSuite, table: str) -> None:
    suite = Store(real_suite.root.parent).suite(real_suite.suite_id)
    parquet = pd.read_parquet(io.BytesIO(api.export(suite, table, "parquet")))
    csv = pd.read_csv(io.BytesIO(api.export(suite, table, "csv")))
    rows = real_suite.rows(table)
    assert list(parquet.columns) == list(csv.columns) == list(rows[0]) == list(COLUMNS[table])
    assert len(parquet) == len(csv) == len(rows) > 0


def test_export_writes_csv_or_the_format_that_is_asked_for_or_that_the_ending_names(
    real_suite: RealSuite, tmp_path: Path
) -> None:
    suite = Store(real_suite.root.parent).suite(real_suite.suite_id)
    target = tmp_path / "out.parquet"
    for words in ((), ("--format", "json"), ("--output", str(target))):
        said = real_suite.call("export", "latest", "runs", *words)
        assert (said.code, said.err) == (0, "")
        if not words:
            assert said.out == api.export(suite, "runs", "csv").decode()
        elif words[0] == "--format":
            assert said.rows() == real_suite.rows("runs")
    assert target.read_bytes() == api.export(suite, "runs", "parquet")


def test_slices_come_from_every_process(real_suite: RealSuite) -> None:
    slices = real_suite.rows("slices")
    pids = defaultdict(set)
    for row in slices:
        if "_multiply" in row["name"]:
            pids[row["run_id"].split("-")[2]].add((row["pid"], row["tid"]))
    assert {model: len(found) for model, found in pids.items()} == {
        "serial": 1,
        "threads": 2,
        "fork": 2,
        "spawn": 2,
        "forkserver": 2,
    }


def test_the_report_is_there(real_suite: RealSuite) -> None:
    folder = real_suite.folder / "reports" / real_suite.suite_id
    names = {path.name for path in folder.iterdir()}
    assert {"index.html", "report.md", "metrics.csv", "metrics.json", "metrics.parquet"} <= names
    assert len([name for name in names if name.endswith(".png")]) >= 4
    assert json.loads((folder / "metrics.json").read_text())


def test_portable_counters_give_a_wider_interval(tracekit: Tracekit) -> None:
    """What macOS and Windows would use, forced on this machine."""
    words = ("--size", "small", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none", "--workers", "2")
    said = tracekit("run", "matmul", *words, "--models", "serial,threads", "--counters", "portable", "--json")
    assert said.code == 0, said.err
    rows = [
        row for row in json.loads(said.out)["metrics"] if row["metric"] == "gil_wait_ns" and row["model"] == "threads"
    ]
    assert [(row["method"], row["quality"], row["lower"]) for row in rows] == [("portable", "bound", 0)]
    assert rows[0]["upper"] > 0


@pytest.mark.measures
def test_a_control_can_be_the_workload_itself(tracekit: Tracekit) -> None:
    words = ("--size", "smoke", "--runs", "5", "--warmup", "0", "--capture", "none", "--models", "serial,threads")
    said = tracekit("run", "sleep", *words, "--workers", "2")
    assert said.code == 0, said.err
    # The smoke size is short, which the verdict says first.
    verdict = " ".join(said.out.split())
    assert re.search(r"2 threads run sleep|sleep measured [\d.]+x \([^)]*\) under 2 threads", verdict), verdict


def test_dry_run_shows_the_matrix_and_measures_nothing(real_suite: RealSuite) -> None:
    before = sorted(real_suite.folder.glob(".tracekit/*"))
    said = real_suite.call("run", "matmul", "--size", "small", "--dry-run")
    assert said.code == 0, said.err
    assert "estimated time" in said.out
    assert "forkserver" in said.out
    assert f"from the runs of {real_suite.suite_id}" in said.out
    document = json.loads(real_suite.call("run", "matmul", "--dry-run", "--json").out)
    assert len(document["runs"]) > 50
    assert sorted(real_suite.folder.glob(".tracekit/*")) == before


def test_without_a_terminal_progress_is_plain(real_suite: RealSuite) -> None:
    assert "\x1b" not in real_suite.said.err
    assert "run 1 of" in real_suite.said.err


def test_the_timeline_of_calls_shows_who_held_the_gil(tracekit: Tracekit, tmp_path: Path) -> None:
    needs("waits")
    needs("viztracer")
    words = (
        "--models",
        "threads",
        "--workers",
        "2",
        "--runs",
        "1",
        "--warmup",
        "0",
        "--no-controls",
        "--size",
        "small",
    )
    said = tracekit("run", "matmul", *words, "--capture", "viztracer,waits")
    assert said.code == 0, said.err
    store = Store(tmp_path / ".tracekit")
    (suite,) = store.suites()
    assert [bundle.spec().capture for bundle in suite.bundles()] == ["none", "waits", "waits+viztracer"]
    (item,) = find_traces(store, "latest", tmp_path)
    assert item.calls
    events = json.loads(gzip.decompress(item.path.read_bytes()))["traceEvents"]
    holders = [event["name"] for event in events if event.get("id2", {}).get("local", "").startswith("GIL of main ")]
    assert {"worker 1 · _row", "worker 2 · _row"} <= set(holders)
