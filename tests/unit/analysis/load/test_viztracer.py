"""VizTracer's files to slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load.made_bundles import make_bundle, make_suite, spec
from tracekit import api
from tracekit.analysis.load import load_run
from tracekit.analysis.load.viztracer import read_viztracer
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.tables import records
from tracekit.analysis.view import find_traces
from tracekit.bundle.store import Store
from tracekit.core.errors import BundleCorrupt

BEGIN_US = BOOT_NS / 1_000


def event(name: str, start_us: float, dur_us: float, tid: int = 1) -> dict[str, Any]:
    place = {"ph": "X", "pid": 100, "tid": tid, "cat": "fee"}
    return {**place, "name": name, "ts": round(BEGIN_US + start_us, 3), "dur": dur_us}


def trace(events: list[Any], **more: Any) -> bytes:
    return json.dumps({"traceEvents": events, "viztracer_metadata": {"overflow": False}, **more}).encode()


def read(tmp_path: Path, data: bytes) -> list[dict[str, Any]]:
    path = tmp_path / "viztracer-100.json"
    path.write_bytes(data)
    return records(read_viztracer(path, "r").slices)


def test_calls_with_exact_stamps_and_depths(tmp_path: Path) -> None:
    # VizTracer writes a call when it returns: the inner one comes first.
    calls = [
        {"ph": "M", "pid": 100, "tid": 1, "name": "thread_name", "args": {"name": "MainThread"}},
        event("inner (a.py:2)", 1.001, 2.5),
        event("next to it (a.py:3)", 3.501, 1.0),
        event("outer (a.py:1)", 0.5, 10.0),
        event("other thread", 1.0, 1.0, tid=2),
        event("afterwards", 10.5, 1.0),
    ]
    found = read(tmp_path, trace(calls))
    assert [(row["tid"], row["name"], row["depth"]) for row in found] == [
        (1, "outer (a.py:1)", 0),
        (1, "inner (a.py:2)", 1),
        (1, "next to it (a.py:3)", 1),
        (1, "afterwards", 0),
        (2, "other thread", 0),
    ]
    assert (found[1]["start_ns"], found[1]["dur_ns"]) == (BOOT_NS + 1_001, 2_500)
    assert {row["category"] for row in found} == {"python"}
    assert {row["run_id"] for row in found} == {"r"}


def test_calls_that_begin_together_nest_by_length(tmp_path: Path) -> None:
    found = read(tmp_path, trace([event("short", 0, 1), event("long", 0, 2), event("empty", 0, 0)]))
    assert [(row["name"], row["depth"]) for row in found] == [("long", 0), ("short", 1), ("empty", 2)]


@settings(max_examples=40, deadline=None)
@given(shape=st.lists(st.integers(0, 3), max_size=30))
def test_depth_is_that_of_the_call_tree(tmp_path_factory: pytest.TempPathFactory, shape: list[int]) -> None:
    """Walk up and down a made call tree; every call must get the depth it was made at."""
    events: list[dict[str, Any]] = []
    open_calls: list[tuple[int, int]] = []
    now = 0

    def leave() -> None:
        start, depth = open_calls.pop()
        events.append(event(f"depth {depth}", start, now - start))

    for leaving in shape:
        for _ in range(min(leaving, len(open_calls))):
            now += 1
            leave()
        now += 1
        open_calls.append((now, len(open_calls)))
    while open_calls:
        now += 1
        leave()
    for row in read(tmp_path_factory.mktemp("trace"), trace(events)):
        assert row["name"] == f"depth {row['depth']}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"traceEvents": 5}',
        b'{"traceEvents": [{"ph": "X"',
        trace([{"ph": "X", "ts": "soon"}]),
        trace([{"ph": "X", "pid": -1}]),
        trace([{"ph": "X", "ts": 1e300}]),
        trace([{"ph": "X", "dur": -1.0}]),
        trace([{"ph": None}]),
        b'{"traceEvents": [{"ph":"X","ts":NaN}]}',
        b'{"traceEvents": ' + b"[" * 100_000,
    ],
)
def test_a_broken_file_is_corrupt(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BundleCorrupt, match=r"viztracer-100\.json cannot be read"):
        read(tmp_path, data)


def test_traces_are_read_on_request_only(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, spec(), raw={"viztracer-100.json": trace([event("f", 1, 1)])})
    assert len(load_run(bundle, traces=False).slices) == 0
    assert len(load_run(bundle).slices) == 1


@pytest.mark.parametrize("traces", [False, True])
def test_a_full_ring_is_told_with_what_it_covers_whether_calls_are_read_or_not(tmp_path: Path, traces: bool) -> None:
    full = {"overflow": True, "version": "1.1.1"}
    names = [{"ph": "M", "name": "thread_name", "args": {"name": f'"ph":"X","ts":{number}'}} for number in range(99)]
    # The run takes 100 ms; what ended before 80 and 90 ms is lost.
    main = trace([*names, event("f", 79_000, 1_000), event("outer", 0, 95_000)], viztracer_metadata=full)
    worker = trace([event("f", 89_000, 1_000), event("g", 90_000, 5_000)], viztracer_metadata=full)
    raw = {"viztracer-100.json": main, "viztracer-200.json": worker, "viztracer-300.json": trace([event("f", 1, 1)])}
    tables = load_run(make_bundle(tmp_path, spec(trace_entries=2_000), raw=raw), traces=traces)
    (told,) = records(tables.notices)
    assert told["code"] == "trace-overflow"
    assert "ring of 2,000 calls was full in processes 100, 200" in told["text"]
    assert "the trace lacks the first 90.0 ms of 100 ms (90 %)" in told["text"]
    # The worker's calls of the last 5 ms filled its ring; it ran for 95 ms. And half of that more.
    assert "--trace-entries 60000 (an estimate)" in told["remedy"]
    assert len(tables.slices) == (5 if traces else 0)


def test_a_full_ring_reaches_report_view_and_export(tmp_path: Path) -> None:
    run = spec(capture="viztracer")
    folder = make_suite(tmp_path / "store", run)
    full = trace([event("f", 50_000, 1_000)], viztracer_metadata={"overflow": True})
    make_bundle(folder.root, run, raw={"viztracer-100.json": full})
    said: list[str] = []
    (item,) = find_traces(Store(tmp_path / "store"), "latest", tmp_path, announce=said.append)
    api.export(folder, "slices", "csv", warn=said.append)
    report = build(api.analyse(folder))
    terminal = [" ".join(to_text(report, width).split()) for width in (None, 60)]
    texts = [item.detail, *said[-2:], *(notice.text for notice in report.notices), *terminal]
    assert sum("lacks the first 51.0 ms of 100 ms" in text for text in texts) == 6
    assert all("try: tracekit run matmul --trace-entries" in text for text in terminal), terminal


def test_a_full_ring_without_a_call_says_that_its_part_is_unknown(tmp_path: Path) -> None:
    full = trace([], viztracer_metadata={"overflow": True})
    (told,) = records(load_run(make_bundle(tmp_path, spec(), raw={"viztracer-100.json": full})).notices)
    assert "an unknown part of the run" in told["text"]


@pytest.mark.parametrize("traces", [False, True])
def test_a_trace_on_another_clock_is_left_out_and_told(tmp_path: Path, traces: bool) -> None:
    # 1.7 s after the run began: the parent saw the run end after 150 ms.
    late = trace([event("f", 1_700_000, 1)])
    tables = load_run(make_bundle(tmp_path, spec(), raw={"viztracer-100.json": late}), traces=traces)
    (told,) = records(tables.notices)
    assert (told["code"], told["severity"]) == ("trace-misaligned", "warning")
    assert "1.55 s outside" in told["text"]
    assert len(tables.slices) == 0


def test_a_moment_outside_is_the_same_clock(tmp_path: Path) -> None:
    late = trace([event("f", 600 * MS / 1_000, 1)])
    tables = load_run(make_bundle(tmp_path, spec(), raw={"viztracer-100.json": late}))
    assert (len(tables.slices), len(tables.notices)) == (1, 0)
