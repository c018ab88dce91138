"""Bundles to tables: the good ones, the unfinished ones and the ones nobody may compute with."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load.made_bundles import (
    MAIN,
    WORKER,
    both_readings,
    lines,
    main_stream,
    make_bundle,
    make_suite,
    spec,
    worker_stream,
)
from tracekit.analysis.load import load_run, load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import COLUMNS, Tables, check, records
from tracekit.bundle.spec import FORMAT
from tracekit.bundle.store import SuiteFolder
from tracekit.core.errors import BundleCorrupt, BundleTooNew, BundleUnfinished
from tracekit.core.notices import notice


def loaded(tmp_path: Path, **how: Any) -> Tables:
    return load_run(make_bundle(tmp_path, spec(), **how))


def only(tables: Tables, name: str) -> dict[str, Any]:
    rows = records(tables.table(name))
    assert len(rows) == 1
    return rows[0]


def test_a_run_becomes_a_row(tmp_path: Path) -> None:
    run = only(loaded(tmp_path), "runs")
    assert run == {
        "suite_id": "s1",
        "run_id": "001-matmul-fork",
        "workload": "matmul",
        "size": "small",
        "parameters": "",
        "model": "fork",
        "workers": 1,
        "start_method": "fork",
        "capture": "none",
        "os": "Linux",
        "python": "3.13",
        "kind": "cpu",
        "control": False,
        "repeat": 0,
        "warmup": False,
        "gil_enabled": True,
        "status": "ok",
        "exit_code": 0,
        "items": 1,
        "checksum": "c0ffee",
        "start_ns": BOOT_NS,
        "wall_ns": 100 * MS,
        "asked_ns": None,
        "traces": 0,
    }


def test_processes_and_threads(tmp_path: Path) -> None:
    tables = loaded(tmp_path)
    main, worker = records(tables.processes)
    assert (main["pid"], main["role"], main["worker"], main["exit_code"]) == (MAIN, "main", None, 0)
    assert worker["interpreter_ready_ns"] - worker["spawn_requested_ns"] == 3 * MS
    assert (worker["first_task_ns"], worker["last_task_ns"]) == (BOOT_NS + 5 * MS, BOOT_NS + 85 * MS)
    # The worker wrote no thread record; its meta describes its main thread.
    of_main, of_worker = records(tables.threads)
    assert (of_main["tid"], of_main["role"]) == (MAIN, "main")
    assert (of_worker["tid"], of_worker["role"], of_worker["worker"]) == (WORKER, "worker", 0)
    assert of_worker["start_ns"] == BOOT_NS + 4 * MS


def test_numbers_come_out_of_it(tmp_path: Path) -> None:
    metrics = compute_all(Analysis(loaded(tmp_path))).set_index(["scope", "metric"])["value"]
    assert metrics["run", "wall_ns"] == 100 * MS
    assert metrics["run", "cpu_ns"] == (9 - 5 + 81) * MS
    assert metrics["run", "spawn_first_instruction_ns"] == 3 * MS
    assert metrics["run", "teardown_ns"] == 10 * MS


def test_the_parents_readings_belong_to_the_pid_they_name(tmp_path: Path) -> None:
    parent = [
        {"kind": "meta", "format": 1, "role": "parent"},
        {"kind": "counter", "pid": WORKER, "counter": "uss_bytes", "value": 5, "unit": "bytes", "scope": "process",
         "source": "psutil", "ts_ns": BOOT_NS},
    ]  # fmt: skip
    streams = {"parent.jsonl": lines(parent), f"{MAIN}.jsonl": lines(main_stream())}
    tables = loaded(tmp_path, streams=streams)
    read = [row for row in records(tables.counters) if row["counter"] == "uss_bytes"]
    assert [(row["pid"], row["value"], row["source"], row["at"]) for row in read] == [(WORKER, 5, "psutil", None)]
    assert {row["role"] for row in records(tables.processes)} == {"main"}


def test_all_tables_are_checked_and_in_order(tmp_path: Path) -> None:
    tables = loaded(tmp_path)
    for name in COLUMNS:
        assert list(check(name, tables.table(name)).columns) == list(COLUMNS[name])


def test_environments_that_differ_only_in_load_are_one(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"), spec("b"), spec("c"))
    for name, load, cpus in (("a", 0.1, 2), ("b", 0.9, 2), ("c", 0.1, 4)):
        environment = {"os": "Linux", "load_before": load, "logical_cpus": cpus}
        make_bundle(folder.root, spec(name), environment=environment)
    environments = load_suite(folder).suite["environments"]
    assert [(item["logical_cpus"], item["load_before"]) for item in environments] == [(2, 0.1), (4, 0.1)]
    assert environments[0]["python"]["version"] == "3.13.0"
    assert environments[0]["python_label"] == "3.13"


def test_a_run_without_a_manifest_is_a_row_and_a_notice(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"), spec("b"), spec("c"))
    make_bundle(folder.root, spec("a"))
    make_bundle(folder.root, spec("b"), sealed=False, streams={"1.jsonl": b"half a li"})
    tables = load_suite(folder)
    assert [(row["run_id"], row["status"], row["wall_ns"], row["os"]) for row in records(tables.runs)] == [
        ("a", "ok", 100 * MS, "Linux"),
        ("b", "unfinished", None, "Linux"),
    ]
    missing, told = records(tables.notices)
    assert (told["run_id"], told["code"]) == ("b", "run-failed")
    assert missing["code"] == "runs-missing"
    assert "1 of 3 planned runs are missing: c (the suite has not ended)" in missing["text"]
    assert tables.suite["planned_runs"] == 3


def test_a_run_that_was_killed_before_it_had_a_spec_does_not_hinder_the_others(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"), spec("b"))
    make_bundle(folder.root, spec("a"))
    folder.bundle("b").streams.mkdir(parents=True)
    tables = load_suite(folder)
    assert list(tables.runs["run_id"]) == ["a"]
    told = only(tables, "notices")
    assert (told["run_id"], told["code"]) == ("b", "run-failed")
    assert "spec.json" in told["text"]


def sealed_suite(root: Path) -> SuiteFolder:
    folder = make_suite(root, spec("a"), spec("b"))
    for name in ("a", "b"):
        make_bundle(folder.root, spec(name))
    folder.finish("ok", [])
    return folder


def test_a_whole_suite_has_no_notice(tmp_path: Path) -> None:
    assert load_suite(sealed_suite(tmp_path)).notices.empty


def test_a_planned_run_that_is_gone_is_told(tmp_path: Path) -> None:
    folder = sealed_suite(tmp_path)
    shutil.rmtree(folder.root / "b")
    told = only(load_suite(folder), "notices")
    assert (told["code"], told["severity"]) == ("runs-missing", "warning")
    assert "1 of 2 planned runs are missing: b (they were sealed with the suite and are gone)" in told["text"]


def test_a_suite_whose_manifest_is_gone_is_told(tmp_path: Path) -> None:
    folder = sealed_suite(tmp_path)
    folder.manifest_path.unlink()
    told = only(load_suite(folder), "notices")
    assert (told["code"], told["severity"]) == ("suite-unsealed", "warning")


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    failed = [
        main_stream()[0],
        {"kind": "failure", "type": "ZeroDivisionError", "message": "division by zero", "traceback": "..."},
    ]
    tables = loaded(tmp_path, streams={f"{MAIN}.jsonl": lines(failed)}, status="failed", exit_code=1)
    assert only(tables, "runs")["status"] == "failed"
    assert "ended as failed: ZeroDivisionError: division by zero" in only(tables, "notices")["text"]


def test_a_failure_the_parent_already_told_is_not_told_twice(tmp_path: Path) -> None:
    given = notice("run-failed", run_id="001-matmul-fork", status="killed", reason="signal 9", remedy="x")
    tables = loaded(tmp_path, streams={}, status="killed", notices=[list(given)])
    assert "signal 9" in only(tables, "notices")["text"]


def test_a_killed_worker_leaves_what_it_wrote(tmp_path: Path) -> None:
    whole = lines(worker_stream(), end=False)
    cut = {f"{MAIN}.jsonl": lines(main_stream()), f"{WORKER}.jsonl": whole + b'{"kind":"span","tid":200,"na'}
    tables = loaded(tmp_path, streams=cut)
    assert len(tables.spans[tables.spans["name"] == "task"]) == 1
    told = only(tables, "notices")
    assert (told["code"], told["run_id"]) == ("stream-truncated", "001-matmul-fork")
    assert "process 200" in told["text"]
    assert records(tables.processes)[1]["exit_ns"] is None


def test_a_process_killed_before_its_first_line_is_no_error(tmp_path: Path) -> None:
    streams = {f"{MAIN}.jsonl": lines(main_stream()), f"{WORKER}.jsonl": b'{"kind":"me'}
    assert len(loaded(tmp_path, streams=streams).processes) == 1


def test_gil_that_was_switched_on_is_told(tmp_path: Path) -> None:
    stream = main_stream()
    stream[0]["python"] = {**stream[0]["python"], "gil_enabled": False}
    stream[-1] = {"kind": "gil", "enabled": True, "module": "numpy"}
    tables = loaded(tmp_path, streams={f"{MAIN}.jsonl": lines(stream)})
    assert only(tables, "runs")["gil_enabled"] is True
    assert only(tables, "notices")["code"] == "gil-switched"
    assert "numpy" in only(tables, "notices")["text"]


def test_no_finished_run_is_unfinished(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"))
    make_bundle(folder.root, spec("a"), sealed=False)
    with pytest.raises(BundleUnfinished, match="s1 has no finished run"):
        load_suite(folder)
    with pytest.raises(BundleUnfinished, match="run a has no manifest"):
        load_run(folder.bundle("a"))


def test_an_altered_file_names_run_and_file(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"), spec("b"))
    make_bundle(folder.root, spec("a"))
    bundle = make_bundle(folder.root, spec("b"))
    path = bundle.streams / f"{MAIN}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"c0ffee", b"c0fffe"))
    with pytest.raises(BundleCorrupt, match=r"b/streams/100\.jsonl is not the file that was sealed"):
        load_suite(folder)


def test_newer_formats_are_refused_by_name(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, spec("a"))
    data = json.loads(bundle.manifest_path.read_text())
    bundle.manifest_path.write_text(json.dumps({**data, "format": FORMAT + 1}))
    with pytest.raises(BundleTooNew, match=rf"a/manifest\.json has format {FORMAT + 1}"):
        load_run(bundle)
    newer = [{**main_stream()[0], "format": FORMAT + 1}, *main_stream()[1:]]
    with pytest.raises(BundleTooNew, match=rf"100\.jsonl has format {FORMAT + 1}"):
        load_run(make_bundle(tmp_path, spec("b"), streams={"100.jsonl": lines(newer)}))


def test_an_ok_run_without_its_run_span_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="no stream has its span `run`"):
        loaded(tmp_path, streams={})


def test_stamps_of_another_clock_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="on another clock"):
        loaded(tmp_path, started_ns=5, ended_ns=6)


def test_a_bundle_moved_under_another_name_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, spec("a"))
    shutil.move(bundle.root, tmp_path / "b")
    folder = make_suite(tmp_path)
    with pytest.raises(BundleCorrupt, match="is the spec of run 'a'"):
        load_run(type(bundle)(tmp_path / "b"))
    assert folder.bundles() == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": 5},
        {"exit_code": "zero"},
        {"started_ns": 1e400},
        {"started_ns": 10**30},
        {"started_ns": -1},
        {"environment": []},
        {"notices": [["only", "three", "parts"]]},
        {"notices": {"a": 1}},
    ],
)
def test_a_manifest_of_wrong_types_is_corrupt(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(BundleCorrupt, match=r"manifest\.json"):
        loaded(tmp_path, **change)


@pytest.mark.parametrize("files", [{"a\0b": {"bytes": 1, "sha256": ""}}, {"../../x": {"bytes": 1, "sha256": ""}}, []])
def test_a_manifest_of_hostile_names_is_corrupt(tmp_path: Path, files: Any) -> None:
    bundle = make_bundle(tmp_path, spec())
    data = json.loads(bundle.manifest_path.read_text())
    bundle.manifest_path.write_text(json.dumps({**data, "files": files}))
    with pytest.raises(BundleCorrupt):
        load_run(bundle)


@pytest.mark.parametrize("change", [{"workers": "two"}, {"run_id": None}, {"control": "no"}, {"size": ["small"]}])
def test_a_spec_of_wrong_types_is_corrupt(tmp_path: Path, change: dict[str, Any]) -> None:
    bundle = make_bundle(tmp_path, spec(), sealed=False)
    path = bundle.root / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BundleCorrupt, match=r"spec\.json"):
        load_run(bundle)


TIMES_PARSING = 100


@pytest.mark.measures
def test_loading_a_hundred_bundles_costs_a_small_multiple_of_parsing_their_lines(tmp_path: Path) -> None:
    """About 30 times here; what grows with the square of their number would be far beyond."""
    names = [f"{number:03d}" for number in range(100)]
    folder = make_suite(tmp_path, *(spec(name) for name in names))
    many = [record for _ in range(16) for record in both_readings("cpu_ns", 1, 2, 10)]
    streams = {f"{MAIN}.jsonl": lines([*main_stream(), *many]), f"{WORKER}.jsonl": lines(worker_stream())}
    for name in names:
        make_bundle(folder.root, spec(name), streams=streams)
    begun = time.process_time()
    for path in folder.root.glob("*/streams/*.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line)
    parsed = time.process_time()
    assert len(load_suite(folder).runs) == 100
    assert time.process_time() - parsed < TIMES_PARSING * (parsed - begun)
