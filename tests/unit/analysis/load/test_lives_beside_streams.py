"""Processes and threads that the probe's files tell of and streams or the manifest as well: who is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.table_factory import BOOT_NS, MS, SECOND
from tests.unit.analysis.load.loaded_lives import (
    CHILD,
    THREAD,
    beside_streams,
    of_pid,
    of_tid,
    recorded,
    thread_end,
)
from tests.unit.analysis.load.made_bundles import (
    MAIN,
    WORKER,
    main_stream,
)
from tests.unit.analysis.load.made_waits import slot, text_slots, waits_bytes
from tracekit.analysis.tables import records
from tracekit.core.errors import BundleCorrupt


def test_a_stream_says_what_a_thread_is_for_and_the_probe_what_it_cost(tmp_path: Path) -> None:
    place = {"kind": "thread", "tid": THREAD, "name": "pool-0", "role": "worker", "worker": 0}
    stamps = {"spawn_requested_ns": 1, "start_ns": 3, "end_ns": 80}
    pooled = {**place, **{name: BOOT_NS + at_ms * MS for name, at_ms in stamps.items()}}
    slots = [
        slot("thread-start", 2, 0.5, tid=THREAD, other=MAIN),
        *text_slots(800, "other-name"),
        slot("thread-name", tid=THREAD, site=800),
        thread_end(82, 70, 4, tid=THREAD, voluntary=7, involuntary=3),
    ]
    streams = {MAIN: [*main_stream(), pooled]}
    tables = beside_streams(tmp_path, {MAIN: waits_bytes(slots)}, streams)
    (row,) = of_tid(tables, THREAD)
    assert (row["name"], row["role"], row["worker"]) == ("pool-0", "worker", 0)
    assert row["spawn_requested_ns"] == BOOT_NS + 1 * MS
    # What was counted is of the whole life, so that life's ends go with it.
    assert (row["start_ns"], row["end_ns"], row["cpu_ns"]) == (BOOT_NS + 2 * MS, BOOT_NS + 82 * MS, 70 * MS)
    assert (row["run_queue_wait_ns"], row["voluntary_switches"], row["involuntary_switches"]) == (4 * MS, 7, 3)
    assert len(tables.threads) == 2


def test_of_threads_with_one_id_a_stream_describes_the_nearest(tmp_path: Path) -> None:
    slots = [
        slot("thread-start", 2, 0.5, tid=THREAD),
        thread_end(20, 5, 1, tid=THREAD, voluntary=1, involuntary=1),
        slot("thread-start", 40, 0.5, tid=THREAD),
        thread_end(90, 33, 1, tid=THREAD, voluntary=1, involuntary=1),
    ]
    pooled = {"kind": "thread", "tid": THREAD, "name": "pool-0", "role": "worker", "start_ns": BOOT_NS + 41 * MS}
    tables = beside_streams(tmp_path, {MAIN: waits_bytes(slots)}, {MAIN: [*main_stream(), pooled]})
    assert [(row["role"], row["cpu_ns"]) for row in of_tid(tables, THREAD)] == [("worker", 33 * MS), ("other", 5 * MS)]


def test_where_the_probe_knows_no_cpu_time_the_streams_stamps_stay(tmp_path: Path) -> None:
    slots = [slot("thread-start", 2, 0.5, tid=WORKER), slot("sleep", 20, 5, tid=WORKER)]
    tables = beside_streams(tmp_path, {WORKER: waits_bytes(slots, pid=WORKER, ppid=MAIN)})
    (row,) = of_tid(tables, WORKER)
    assert (row["role"], row["start_ns"], row["end_ns"]) == ("worker", BOOT_NS + 4 * MS, BOOT_NS + 101 * MS)


def test_a_streams_process_is_one_row(tmp_path: Path) -> None:
    parents = [slot("fork", 1.5, 1, of=WORKER), slot("child-ended", 110, of=9, other=WORKER)]
    files = {
        MAIN: waits_bytes(parents, start_ticks=5),
        WORKER: waits_bytes([], pid=WORKER, ppid=MAIN, began_ms=2, ended="", start_ticks=7),
    }
    tables = beside_streams(tmp_path, files)
    main, worker = records(tables.processes)
    assert (main["pid"], main["role"], main["ended"], main["exit_ns"]) == (MAIN, "main", "exit", BOOT_NS + 100 * MS)
    assert (worker["pid"], worker["role"], worker["worker"]) == (WORKER, "worker", 0)
    assert worker["spawn_requested_ns"] == BOOT_NS + 1 * MS
    assert (worker["ended"], worker["exit_code"], worker["exit_ns"]) == ("signal", -9, BOOT_NS + 110 * MS)
    assert worker["executable"] == "/usr/bin/python3"


def test_helpers_that_no_stream_describes_are_others(tmp_path: Path) -> None:
    tables = beside_streams(tmp_path, {CHILD: waits_bytes([], pid=CHILD, ppid=MAIN)})
    assert of_pid(tables, CHILD)["role"] == "other"
    assert [row["role"] for row in of_tid(tables, CHILD)] == ["other"]
    assert of_pid(tables, MAIN)["ended"] is None


def test_the_manifest_tells_what_nobody_else_does(tmp_path: Path) -> None:
    told = [
        {"pid": MAIN, "ppid": 1, "ended": "exit", "exit_code": 4, "ended_ns": BOOT_NS + 120 * MS, "lost": 0, "new": 1},
        {"pid": WORKER, "ended": "signal", "exit_code": -11, "start_ticks": 7},
        {"pid": CHILD, "ppid": MAIN, "executable": "/bin/true", "ended": "exit", "exit_code": 0},
    ]
    files = {WORKER: waits_bytes([], pid=WORKER, ppid=MAIN, ended="_exit", exit_code=1)}
    tables = beside_streams(tmp_path, files, processes=told)
    assert (of_pid(tables, MAIN)["ended"], of_pid(tables, MAIN)["exit_code"]) == ("exit", 4)
    # The probe saw that one itself.
    assert (of_pid(tables, WORKER)["ended"], of_pid(tables, WORKER)["exit_code"]) == ("_exit", 1)
    child = of_pid(tables, CHILD)
    assert (child["ended"], child["executable"], child["ppid"], child["role"]) == ("exit", "/bin/true", MAIN, "other")


def test_a_killed_program_ends_as_its_parent_saw(tmp_path: Path) -> None:
    tables = recorded(tmp_path, {MAIN: waits_bytes([], ended="")}, status="killed", exit_code=-9)
    row = of_pid(tables, MAIN)
    assert (row["ended"], row["exit_code"], row["exit_ns"]) == ("signal", -9, BOOT_NS + 150 * MS)


@pytest.mark.parametrize(
    "processes", [{}, ["100"], [{}], [{"pid": -1}], [{"pid": "5"}], [{"pid": 5, "ended": "died"}], [{"pid": 2**63}]]
)
def test_a_manifests_processes_of_wrong_types_are_corrupt(tmp_path: Path, processes: Any) -> None:
    with pytest.raises(BundleCorrupt, match=r"manifest\.json"):
        beside_streams(tmp_path, {}, processes=processes)


@pytest.mark.parametrize("shift_ns", [0, 3_600 * SECOND, -900 * SECOND])
def test_a_manifests_stamp_on_another_clock_is_no_end_of_a_process(tmp_path: Path, shift_ns: int) -> None:
    """In a time namespace the program's clock is far apart: it has ended when its parent found it gone."""
    ended_ns = BOOT_NS + 50 * MS + shift_ns
    told = {"pid": MAIN, "started_ns": BOOT_NS + shift_ns, "ended_ns": ended_ns, "ended": "exit", "exit_code": 0}
    data = waits_bytes([slot("image", start_ns=told["started_ns"])], monotonic_ns=told["started_ns"], ended_ns=ended_ns)
    tables = recorded(tmp_path, {MAIN: data}, processes=[told])
    assert of_pid(tables, MAIN)["exit_ns"] == BOOT_NS + (150 if shift_ns else 50) * MS
    (thread,) = of_tid(tables, MAIN)
    assert thread["end_ns"] in (None, of_pid(tables, MAIN)["exit_ns"])
    assert [row["code"] for row in records(tables.notices)] == ["waits-outside"] * bool(shift_ns)
