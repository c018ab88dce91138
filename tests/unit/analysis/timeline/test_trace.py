"""The trace of a run and of several, as Perfetto reads it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.table_factory import MS, PROCESS_MODELS, Maker, full_run
from tracekit.analysis.tables import Tables
from tracekit.analysis.timeline import SuitePart, build_run, build_suite
from tracekit.core.errors import NothingToDo, OutputUnwritable

Event = dict[str, Any]


def made(model: str, **values: Any) -> tuple[Maker, dict[str, Any]]:
    maker = Maker()
    return maker, full_run(maker, model, task_ns=100 * MS, capture="viztracer", **values)


def call(maker: Maker, run: dict[str, Any], name: str, start_ns: int, dur_ns: int, **values: Any) -> None:
    place = {"pid": run["main_pid"], "tid": run["main_pid"], "category": "python", "depth": 0}
    times = {"start_ns": run["start_ns"] + start_ns, "dur_ns": dur_ns}
    maker.row("slices", **{"run_id": run["run_id"], **place, **times, "name": name, **values})


def events(path: Path) -> list[Event]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    found = json.loads(data)["traceEvents"]
    assert isinstance(found, list)
    return found


def built(tables: Tables, run_id: str, folder: Path) -> list[Event]:
    path = folder / "trace.json"
    build_run(tables, run_id, path)
    return events(path)


def names(found: Sequence[Event], kind: str) -> dict[int, str]:
    key = "pid" if kind == "process_name" else "tid"
    return {event[key]: event["args"]["name"] for event in found if event["name"] == kind}


def bars(found: Sequence[Event], track: str) -> list[tuple[str, float, float]]:
    """(name, start, end) in microseconds of the bars on tracks called so, whatever their process."""
    ends = {(event["pid"], event["id2"]["local"], event["name"]): event["ts"] for event in found if event["ph"] == "e"}
    return [
        (event["name"], event["ts"], ends[event["pid"], event["id2"]["local"], event["name"]])
        for event in found
        if event["ph"] == "b" and event["id2"]["local"].rpartition(" ")[0] == track
    ]


@pytest.mark.parametrize("model", PROCESS_MODELS)
def test_processes_are_named_for_people_and_main_is_first(model: str, tmp_path: Path) -> None:
    maker, run = made(model)
    found = built(maker.tables(), run["run_id"], tmp_path)
    by_place = sorted(
        (event["args"]["sort_index"], event["pid"]) for event in found if event["name"] == "process_sort_index"
    )
    called = names(found, "process_name")
    assert [called[pid] for _, pid in by_place] == [f"main ({model})", f"worker 1 ({model})", f"worker 2 ({model})"]
    assert by_place[0][1] == run["main_pid"]


def test_pool_threads_are_named_for_people(tmp_path: Path) -> None:
    maker, run = made("threads")
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert names(found, "process_name") == {run["main_pid"]: "main (threads)"}
    assert list(names(found, "thread_name").values()) == ["main thread", "worker 1 (threads)", "worker 2 (threads)"]


def test_a_worker_shows_its_start_and_then_its_tasks_from_the_runs_begin(tmp_path: Path) -> None:
    maker, run = made("spawn", items=4)
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert bars(found, "tasks · worker 1") == [
        ("starting worker 1", 0, 90_000),
        ("task 0", 90_000, 190_000),
        ("task 2", 190_000, 290_000),
    ]
    assert bars(found, "tasks · worker 2") == [
        ("starting worker 2", 0, 90_000),
        ("task 1", 90_000, 190_000),
        ("task 3", 190_000, 290_000),
    ]
    assert bars(found, "phases") == [("run", 0, 292_000), ("shutdown", 290_000, 292_000)]
    task = next(event for event in found if event["name"] == "task 0" and event["ph"] == "b")
    assert task["args"]["voluntary_switches"] == 2


def test_each_pool_thread_has_a_track_of_tasks(tmp_path: Path) -> None:
    maker, run = made("threads", items=2)
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert [name for name, _, _ in bars(found, "tasks · worker 1")] == ["starting worker 1", "task 0"]
    assert [name for name, _, _ in bars(found, "tasks · worker 2")] == ["starting worker 2", "task 1"]


def test_overlapping_tasks_of_one_thread_get_lanes_of_one_track(tmp_path: Path) -> None:
    maker = Maker()
    run = maker.run("asyncio", 10 * MS)
    for item, (start, length) in enumerate([(0, 9), (1, 2), (4, 1)]):
        at = run["start_ns"] + start * MS
        maker.span(run, run["main_pid"], run["main_pid"], "task", at, length * MS, item=item)
    found = built(maker.tables(), run["run_id"], tmp_path)
    lanes = {event["name"]: event["id2"]["local"] for event in found if event["ph"] == "b"}
    assert (lanes["task 0"], lanes["task 1"], lanes["task 2"]) == ("tasks 0", "tasks 1", "tasks 1")
    assert {event["name"] for event in found if event["ph"] == "n"} == {"tasks", "phases"}


def test_calls_keep_their_nanoseconds_and_nest(tmp_path: Path) -> None:
    maker, run = made("serial")
    call(maker, run, "outer", 1_001, 10_000)
    call(maker, run, "inner", 2_002, 8_999 + 1, depth=1)  # ends a nanosecond after its caller
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert [(event["name"], event["ts"], event["dur"]) for event in found if event["ph"] == "X"] == [
        ("outer", 1.001, 10.0),
        ("inner", 2.002, 8.999),
    ]
    assert '"ts":1.001,"dur":10.000,' in (tmp_path / "trace.json").read_text(encoding="utf-8")


def test_the_trace_begins_where_the_run_begins(tmp_path: Path) -> None:
    maker, run = made("serial")
    call(maker, run, "before", -5_000, 1_000)
    call(maker, run, "across", -1_000, 3_000)
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert [(event["name"], event["ts"], event["dur"]) for event in found if event["ph"] == "X"] == [("across", 0, 2)]
    assert min(event["ts"] for event in found if "ts" in event) == 0


@pytest.mark.parametrize("name", ['"quoted"', "back\\slash", "\0nul", "</script>", "名前", "", None])
def test_hostile_names_make_a_trace_that_can_be_read(name: str | None, tmp_path: Path) -> None:
    maker, run = made("threads")
    maker.thread(run, run["main_pid"], 77, run["start_ns"], run["start_ns"], name=name, role="other")
    call(maker, run, str(name), 0, 10)
    maker.row(
        "slices", run_id=run["run_id"], pid=run["main_pid"], tid=77, start_ns=run["start_ns"], dur_ns=5, name=None
    )
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert len([event for event in found if event["ph"] == "X"]) == 2
    assert all(event["name"] for event in found)


def test_calls_of_a_process_that_left_no_record_are_still_shown(tmp_path: Path) -> None:
    maker, run = made("spawn")
    call(maker, run, "orphan", 0, 10, pid=424242, tid=424243)
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert names(found, "process_name")[424242] == "process (spawn)"
    assert names(found, "thread_name")[424243] == "thread"


def test_ids_beyond_32_bits_are_renumbered(tmp_path: Path) -> None:
    maker, run = made("threads")
    call(maker, run, "on macOS", 0, 10, tid=2**40)
    found = built(maker.tables(), run["run_id"], tmp_path)
    assert all(0 < event[key] < 2**31 for event in found for key in ("pid", "tid"))
    on_macos = next(event for event in found if event["name"] == "on macOS")
    assert names(found, "process_name")[on_macos["pid"]] == "main (threads)"


def test_a_curve_needs_three_readings(tmp_path: Path) -> None:
    maker, run = made("serial")
    fixed = {"run_id": run["run_id"], "pid": run["main_pid"], "scope": "process", "source": "psutil", "unit": "bytes"}
    for index, value in enumerate([1.0, 3.0, 2.0, float("nan")]):
        maker.row("counters", **fixed, counter="uss_bytes", ts_ns=run["start_ns"] + index * MS, value=value)
    found = [event for event in built(maker.tables(), run["run_id"], tmp_path) if event["ph"] == "C"]
    assert [(event["name"], event["ts"], event["args"]) for event in found] == [
        ("uss", 0, {"bytes": 1.0}),
        ("uss", 1000, {"bytes": 3.0}),
        ("uss", 2000, {"bytes": 2.0}),
    ]


def test_too_many_calls_keep_the_longest_and_say_so(tmp_path: Path) -> None:
    maker, run = made("serial")
    for index in range(100):
        call(maker, run, f"call {index}", index * 1_000, index + 1)
    facts = build_run(maker.tables(), run["run_id"], tmp_path / "trace.json", limit=10)
    kept = [event["name"] for event in events(tmp_path / "trace.json") if event["ph"] == "X"]
    assert kept == [f"call {index}" for index in range(90, 100)]
    assert (facts.calls, facts.shortest_ns) == (10, 91)


def test_several_runs_begin_together_and_share_no_id(tmp_path: Path) -> None:
    maker = Maker()
    runs = [full_run(maker, model, task_ns=100 * MS) for model in ("threads", "spawn")]
    for run in runs:
        call(maker, run, f"first of {run['model']}", 0, 10)
    tables = maker.tables()
    # Both runs had the same process ids: rare within an hour, usual over reboots.
    for frame in (tables.processes, tables.threads, tables.spans, tables.slices, tables.counters):
        for column in ("pid", "tid"):
            if column in frame:
                second = frame["run_id"] == runs[1]["run_id"]
                shift = runs[1]["main_pid"] - runs[0]["main_pid"]
                frame.loc[second, column] = frame.loc[second, column] - shift
    path = tmp_path / "all.json.gz"
    facts = build_suite((SuitePart(tables, run["run_id"], run["model"]) for run in runs), path)
    found = events(path)
    assert list(names(found, "process_name").values()) == [
        "threads · main",
        "spawn · main",
        "spawn · worker 1",
        "spawn · worker 2",
    ]
    assert [event["ts"] for event in found if event["ph"] == "b" and event["name"] == "run"] == [0, 0]
    owners = {event["tid"]: event["pid"] for event in found}
    assert all(owners[event["tid"]] == event["pid"] for event in found)
    assert facts.processes == tuple(f"{name} {pid}" for pid, name in names(found, "process_name").items())
    assert facts.overview == (
        "threads · phases",
        "threads · tasks · worker 1",
        "threads · tasks · worker 2",
        "spawn · phases",
        "spawn · tasks · worker 1",
        "spawn · tasks · worker 2",
    )
    assert facts.calls == 2


def test_a_run_that_the_tables_do_not_hold_is_nothing_to_do(tmp_path: Path) -> None:
    maker, _ = made("serial")
    with pytest.raises(NothingToDo) as raised:
        build_run(maker.tables(), "no such run", tmp_path / "trace.json")
    assert raised.value.hint == "tracekit list suites"


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    maker, run = made("serial")
    good = SuitePart(maker.tables(), run["run_id"], "serial")
    with pytest.raises(NothingToDo):
        build_suite([good, good._replace(run_id="gone")], tmp_path / "all.json")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_an_error_in_words(tmp_path: Path) -> None:
    maker, run = made("serial")
    with pytest.raises(OutputUnwritable):
        build_run(maker.tables(), run["run_id"], tmp_path / "gone" / "trace.json")
