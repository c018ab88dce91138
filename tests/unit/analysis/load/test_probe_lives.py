"""Processes and threads of a recorded program, as the wait probe's files alone tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load.loaded_lives import (
    CHILD,
    THREAD,
    image,
    of_pid,
    of_tid,
    recorded,
    thread_end,
)
from tests.unit.analysis.load.made_bundles import (
    MAIN,
)
from tests.unit.analysis.load.made_waits import KNOWN, entry, slot, text_slots, waits_bytes
from tracekit.analysis.metrics.counters import compute_machine_changes
from tracekit.analysis.report.build import build
from tracekit.analysis.tables import records

GIL = 0x7F00_0000_1000


def test_a_program_is_a_run_from_its_start_until_it_was_reaped(tmp_path: Path) -> None:
    """Its parent starts it 52 ms before the loader is done and reaps it 50 ms after its exit; a child outlives it."""
    files = {
        MAIN: waits_bytes(image(2), began_ms=2.5, ended_ms=100),
        CHILD: waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=1, ended_ms=120),
    }
    tables = recorded(tmp_path, files)
    (run,) = records(tables.runs)
    assert (run["model"], run["kind"], run["status"], run["workload"]) == ("program", "program", "ok", "app.py")
    assert (run["start_ns"], run["wall_ns"]) == (BOOT_NS - 50 * MS, 200 * MS)
    assert (run["items"], run["checksum"], run["gil_enabled"]) == (None, None, True)
    assert of_pid(tables, MAIN)["role"] == "main"
    assert of_pid(tables, CHILD)["role"] == "other"
    (environment,) = tables.suite["environments"]
    assert environment["python"] == {
        "implementation": "CPython",
        "version": "3.11.7",
        "executable": "/usr/bin/python3",
        "gil_enabled": True,
        "start_method_default": "fork",
    }


@pytest.mark.parametrize("version", ["3.11.7", "3.12.1"])
def test_what_a_python_said_of_itself_counts_where_it_is_the_one_that_ran(tmp_path: Path, version: str) -> None:
    """`#!/usr/bin/env python3` may lead to another one than the command names."""
    named = {"version": version, "build": f"{version} (main)", "free_threaded_build": False}
    manifest = recorded(tmp_path, {MAIN: waits_bytes(image(2), ended_ms=100)}, environment={"interpreter": named})
    (environment,) = manifest.suite["environments"]
    found = {name: environment["python"].get(name) for name in named}
    assert found == (named if version == "3.11.7" else {**dict.fromkeys(named), "version": "3.11.7"})


@pytest.mark.parametrize(
    "named", [[], "x", {"version": 3, "build": [], "executable": {}, "free_threaded_build": "yes"}, {"other": "x"}]
)
def test_what_no_python_said_is_left_out(tmp_path: Path, named: object) -> None:
    tables = recorded(tmp_path, {}, environment={"interpreter": named, "os": "Linux"})
    assert tables.suite["environments"][0]["python"] == {}
    assert build(tables).environment


def test_without_the_probe_a_program_has_the_python_that_its_command_names(tmp_path: Path) -> None:
    named = {"version": "3.14.1", "executable": "/opt/python", "free_threaded_build": True}
    (environment,) = recorded(tmp_path, {}, environment={"interpreter": named, "os": "Linux"}).suite["environments"]
    expected = {**named, "implementation": "CPython", "gil_enabled": None, "start_method_default": "forkserver"}
    assert environment["python"] == expected


def test_a_program_that_a_tool_started_has_its_own_wall(tmp_path: Path) -> None:
    """It begins before the loader is done, and ends after the exit: neither the probe's stamps nor the tool's own."""
    window = [BOOT_NS + 1 * MS, BOOT_NS + 103 * MS]
    (run,) = records(recorded(tmp_path, {MAIN: waits_bytes(image(2), ended_ms=100)}, program_window=window).runs)
    assert (run["start_ns"], run["wall_ns"]) == (BOOT_NS + 1 * MS, 102 * MS)


def test_when_a_program_was_asked_to_end_is_in_its_run(tmp_path: Path) -> None:
    """Not a stamp of another clock."""
    files = {MAIN: waits_bytes(image(2), ended_ms=100)}
    for name, stamp, expected in (("asked", 90, BOOT_NS + 90 * MS), ("elsewhere", 9_000, None)):
        (run,) = records(recorded(tmp_path / name, files, asked_ns=BOOT_NS + stamp * MS).runs)
        assert run["asked_ns"] == expected


def test_the_cpu_time_that_the_parent_read_stands_where_the_program_did_not_read_its_own(tmp_path: Path) -> None:
    """The main process was killed; a child's clock is the child's own."""
    files = {MAIN: waits_bytes(image(2), ended="")}
    assert of_pid(recorded(tmp_path / "read", files, program_cpu_ns=44 * MS), MAIN)["cpu_ns"] == 44 * MS
    assert of_pid(recorded(tmp_path / "unread", files), MAIN)["cpu_ns"] is None


def test_a_program_that_left_no_file_has_the_wall_that_its_parent_saw(tmp_path: Path) -> None:
    for number, waits in enumerate(({}, {MAIN: b""}, {MAIN: bytes(5000)})):
        (run,) = records(recorded(tmp_path / str(number), waits).runs)
        assert (run["start_ns"], run["wall_ns"]) == (BOOT_NS - 50 * MS, 200 * MS)
        assert run["gil_enabled"] is None


@pytest.mark.parametrize(
    ("python", "slots", "enabled"),
    [
        (0x030C01F0, [], True),
        (0x030D00F0, [], None),
        (0x030D00F0, [slot("gil", 1, 1, of=GIL)], True),
        (0, [slot("sleep", 1, 1)], None),
    ],
)
def test_there_was_a_gil_if_somebody_waited_for_it(
    tmp_path: Path, python: int, slots: list[bytes], enabled: bool | None
) -> None:
    (run,) = records(recorded(tmp_path, {MAIN: waits_bytes(slots, python=python)}).runs)
    assert run["gil_enabled"] is enabled


def test_a_forked_child_is_described_by_its_parent_and_itself(tmp_path: Path) -> None:
    parents = [slot("fork", 10, 2, of=CHILD), slot("child-ended", 60, 30, of=3 << 8, other=CHILD, flags=KNOWN)]
    child = waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=11, ended="_exit", ended_ms=59, exit_code=3)
    tables = recorded(tmp_path, {MAIN: waits_bytes([*image(1), *parents]), CHILD: child})
    row = of_pid(tables, CHILD)
    assert (row["ppid"], row["start_ticks"], row["executable"]) == (MAIN, 7, "/usr/bin/python3")
    assert (row["spawn_requested_ns"], row["exec_ns"]) == (BOOT_NS + 10 * MS, None)
    assert (row["ended"], row["exit_code"], row["exit_ns"]) == ("_exit", 3, BOOT_NS + 59 * MS)
    (thread,) = of_tid(tables, CHILD)
    assert (thread["name"], thread["role"]) == ("MainThread", "other")
    assert (thread["start_ns"], thread["end_ns"]) == (BOOT_NS + 11 * MS, BOOT_NS + 59 * MS)
    assert of_pid(tables, MAIN)["exec_ns"] == BOOT_NS + 1 * MS


def test_a_vfork_child_was_asked_for_by_its_first_exec(tmp_path: Path) -> None:
    """Looking for a program along PATH asks once per folder."""
    parents = [slot("exec", 10, of=CHILD), slot("exec", 11, of=CHILD)]
    child = waits_bytes(image(15, path="/bin/date", pid=CHILD), pid=CHILD, ppid=MAIN, began_ms=15, ended_ms=20)
    row = of_pid(recorded(tmp_path, {MAIN: waits_bytes(parents), CHILD: child}), CHILD)
    assert (row["spawn_requested_ns"], row["exec_ns"]) == (BOOT_NS + 10 * MS, BOOT_NS + 15 * MS)
    assert row["executable"] == "/bin/date"


@pytest.mark.parametrize(
    ("status", "announced", "ended", "code"),
    [
        (9, "", "signal", -9),
        (11 | 0x80, "", "signal", -11),
        (15, "exit", "signal", -15),
        (2 << 8, "exit", "exit", 2),
        (0, "", "exit", 0),
        # A stop and a continuation are no ends, and no status has more than 16 bits.
        (0x137F, "exit", "exit", 5),
        (0xFFFF, "", "unknown", None),
        (2**63, "", "unknown", None),
    ],
)
def test_the_kernels_word_on_an_end_is_the_last(
    tmp_path: Path, status: int, announced: str, ended: str, code: int | None
) -> None:
    waited = slot("child-ended", 60, of=status, other=CHILD, flags=KNOWN)
    child = waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=11, ended=announced, ended_ms=59, exit_code=5)
    row = of_pid(recorded(tmp_path, {MAIN: waits_bytes([waited]), CHILD: child}), CHILD)
    assert (row["ended"], row["exit_code"]) == (ended, code)


def test_the_exit_code_is_what_a_parent_can_see_of_it(tmp_path: Path) -> None:
    row = of_pid(recorded(tmp_path, {MAIN: waits_bytes([], exit_code=-1)}), MAIN)
    assert (row["ended"], row["exit_code"]) == ("exit", 255)


def test_a_process_without_a_file_is_known_from_its_parents(tmp_path: Path) -> None:
    """A static program, say, which loads no library."""
    parents = [slot("exec", 10, of=CHILD), slot("child-ended", 20, of=0, other=CHILD, flags=KNOWN)]
    tables = recorded(tmp_path, {MAIN: waits_bytes(parents)})
    row = of_pid(tables, CHILD)
    assert (row["ppid"], row["role"], row["ended"], row["exit_code"]) == (MAIN, "other", "exit", 0)
    assert (row["spawn_requested_ns"], row["exit_ns"]) == (BOOT_NS + 10 * MS, BOOT_NS + 20 * MS)
    assert of_tid(tables, CHILD) == []


def test_a_pid_that_was_used_again_is_two_processes(tmp_path: Path) -> None:
    parents = [
        slot("fork", 10, 1, of=CHILD),
        slot("child-ended", 30, of=1 << 8, other=CHILD),
        slot("fork", 40, 1, of=CHILD),
        slot("child-ended", 60, of=9, other=CHILD),
    ]
    first = waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=11, ended_ms=29, exit_code=1, start_ticks=50)
    again = waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=41, ended="", start_ticks=51)
    tables = recorded(tmp_path, {MAIN: waits_bytes(parents), f"{CHILD}.bin": first, f"{CHILD}.1.bin": again})
    rows = [row for row in records(tables.processes) if row["pid"] == CHILD]
    assert [row["spawn_requested_ns"] for row in rows] == [BOOT_NS + 10 * MS, BOOT_NS + 40 * MS]
    assert [(row["ended"], row["exit_code"]) for row in rows] == [("exit", 1), ("signal", -9)]
    assert [row["start_ticks"] for row in rows] == [50, 51]
    assert [row["end_ns"] for row in of_tid(tables, CHILD)] == [BOOT_NS + 29 * MS, BOOT_NS + 60 * MS]


def test_threads_from_birth_to_end(tmp_path: Path) -> None:
    slots = [
        slot("thread-start", 10, 2, tid=THREAD, other=MAIN),
        slot("thread-start", 12, 1, tid=THREAD + 1, other=MAIN),
        *text_slots(800, "loader"),
        slot("thread-name", tid=THREAD, site=800, start_ns=0),
        thread_end(50, 30, 4, tid=THREAD, voluntary=7, involuntary=3),
        thread_end(99, 60, 5, tid=MAIN, voluntary=1, involuntary=2),
    ]
    entries = [entry(MAIN, start_ms=0), entry(THREAD + 1, start_ms=12, checkpoint_ms=90, cpu_ms=20, queue_ms=6)]
    tables = recorded(tmp_path, {MAIN: waits_bytes([*image(0), *slots], entries=entries)})
    (ended,), (running,), (main,) = (of_tid(tables, tid) for tid in (THREAD, THREAD + 1, MAIN))
    assert (ended["name"], ended["role"], ended["spawn_requested_ns"]) == ("loader", "other", BOOT_NS + 8 * MS)
    assert (ended["start_ns"], ended["end_ns"]) == (BOOT_NS + 10 * MS, BOOT_NS + 50 * MS)
    assert (ended["cpu_ns"], ended["run_queue_wait_ns"]) == (30 * MS, 4 * MS)
    assert (ended["voluntary_switches"], ended["involuntary_switches"]) == (7, 3)
    # It had not ended with its process: what was last known of it, and the process's end.
    assert (running["start_ns"], running["end_ns"]) == (BOOT_NS + 12 * MS, BOOT_NS + 100 * MS)
    assert (running["cpu_ns"], running["run_queue_wait_ns"]) == (20 * MS, 6 * MS)
    assert (running["cpu_read_ns"], ended["cpu_read_ns"]) == (BOOT_NS + 90 * MS, None)
    assert running["voluntary_switches"] is None
    assert (main["role"], main["cpu_ns"], main["end_ns"]) == ("main", 60 * MS, BOOT_NS + 99 * MS)


def test_a_run_queue_wait_that_was_not_read_is_missing(tmp_path: Path) -> None:
    end = slot("thread-end", 50, 30, of=4 * MS, tid=MAIN)
    (main,) = of_tid(recorded(tmp_path, {MAIN: waits_bytes([end])}), MAIN)
    assert (main["cpu_ns"], main["run_queue_wait_ns"]) == (30 * MS, None)


def test_a_thread_id_that_was_used_again_is_two_threads(tmp_path: Path) -> None:
    slots = [
        slot("thread-start", 10, 1, tid=THREAD),
        thread_end(20, 5, 0, tid=THREAD, voluntary=1, involuntary=0),
        slot("thread-start", 30, 1, tid=THREAD),
        thread_end(40, 6, 0, tid=THREAD, voluntary=2, involuntary=0),
    ]
    rows = of_tid(recorded(tmp_path, {MAIN: waits_bytes(slots)}), THREAD)
    assert [(row["start_ns"] - BOOT_NS, row["end_ns"] - BOOT_NS) for row in rows] == [
        (10 * MS, 20 * MS),
        (30 * MS, 40 * MS),
    ]
    assert [row["cpu_ns"] for row in rows] == [5 * MS, 6 * MS]


def test_a_name_that_is_only_the_programs_is_none(tmp_path: Path) -> None:
    """The system gives every thread the name of the one that started it."""
    names = [slot("thread-name", 1, tid=tid, site=800) for tid in (MAIN, THREAD)]
    tables = recorded(tmp_path, {MAIN: waits_bytes([*text_slots(800, "python3.11"), *names])})
    assert [of_tid(tables, tid)[0]["name"] for tid in (MAIN, THREAD)] == ["MainThread", None]


def test_threads_of_a_process_without_python_are_native(tmp_path: Path) -> None:
    slots = [slot("thread-start", 10, 1, tid=CHILD + 1), slot("sleep", 20, 1, tid=CHILD)]
    child = waits_bytes(slots, pid=CHILD, ppid=MAIN, python=0)
    tables = recorded(tmp_path, {MAIN: waits_bytes([], python=0), CHILD: child})
    assert {row["tid"]: row["role"] for row in records(tables.threads)} == {
        MAIN: "main",
        CHILD: "native",
        CHILD + 1: "native",
    }


def test_exec_ends_all_threads_but_the_main_one(tmp_path: Path) -> None:
    slots = [
        *image(1, 900, "/bin/sh"),
        slot("thread-start", 10, 1, tid=THREAD),
        slot("exec", 20, of=MAIN),
        thread_end(20, 15, 1, tid=MAIN, voluntary=1, involuntary=1),
        *image(25, 901, "/usr/bin/python3"),
        thread_end(90, 70, 2, tid=MAIN, voluntary=9, involuntary=8),
    ]
    tables = recorded(tmp_path, {MAIN: waits_bytes(slots, images=2)})
    (main,), (other,) = of_tid(tables, MAIN), of_tid(tables, THREAD)
    assert (main["start_ns"], main["end_ns"]) == (BOOT_NS, BOOT_NS + 90 * MS)
    assert (main["cpu_ns"], main["voluntary_switches"]) == (70 * MS, 9)
    assert (other["start_ns"], other["end_ns"]) == (BOOT_NS + 10 * MS, BOOT_NS + 20 * MS)
    row = of_pid(tables, MAIN)
    assert (row["exec_ns"], row["executable"]) == (BOOT_NS + 25 * MS, "/usr/bin/python3")


def test_a_process_killed_after_exec_did_not_end_at_it(tmp_path: Path) -> None:
    slots = [
        *image(1, 900, "/bin/sh"),
        slot("exec", 20, of=MAIN),
        thread_end(20, 15, 1, tid=MAIN, voluntary=1, involuntary=1),
        *image(25, 901),
    ]
    entries = [entry(MAIN, start_ms=25, checkpoint_ms=70, cpu_ms=44, queue_ms=3)]
    (main,) = of_tid(recorded(tmp_path, {MAIN: waits_bytes(slots, entries=entries, images=2, ended="")}), MAIN)
    assert (main["start_ns"], main["end_ns"]) == (BOOT_NS, BOOT_NS + 150 * MS)
    assert (main["cpu_ns"], main["run_queue_wait_ns"], main["voluntary_switches"]) == (44 * MS, 3 * MS, None)


def test_an_exec_that_failed_changes_nothing(tmp_path: Path) -> None:
    slots = [
        slot("thread-start", 10, 1, tid=THREAD),
        slot("exec", 20, of=MAIN),
        thread_end(20, 5, 1, tid=THREAD, voluntary=1, involuntary=1),
        thread_end(80, 65, 2, tid=THREAD, voluntary=9, involuntary=8),
    ]
    (row,) = of_tid(recorded(tmp_path, {MAIN: waits_bytes(slots)}), THREAD)
    assert (row["start_ns"], row["end_ns"], row["cpu_ns"]) == (BOOT_NS + 10 * MS, BOOT_NS + 80 * MS, 65 * MS)


def test_hostile_facts_of_a_process_are_not_believed(tmp_path: Path) -> None:
    wild = 2**64 - 1
    slots = [
        slot("fork", 1, 1, of=wild),
        slot("child-ended", 2, of=0, other=2**32 - 1),
        slot("thread-start", 10, dur_ns=wild, tid=THREAD),
        slot("thread-end", 20, dur_ns=wild, of=wild, tid=THREAD, other=2**32 - 1, site=2**32 - 1, flags=255),
        slot("thread-name", 20, tid=THREAD, site=2**32 - 1),
        slot("image", 21, site=12345),
    ]
    entries = [entry(2**32 - 1, open_kind="gil"), entry(THREAD + 1, start_ms=10**6, checkpoint_ms=10**7, cpu_ms=5)]
    header = {"start_ticks": wild, "monotonic_ns": wild, "ended_ns": wild, "python": 2**32 - 1}
    tables = recorded(tmp_path, {MAIN: waits_bytes(slots, entries=entries, **header)})
    row = of_pid(tables, MAIN)
    assert len(tables.processes) == 1
    assert (row["start_ticks"], row["exit_ns"]) == (None, BOOT_NS + 150 * MS)
    (thread,), (young,) = of_tid(tables, THREAD), of_tid(tables, THREAD + 1)
    assert (thread["spawn_requested_ns"], thread["cpu_ns"], thread["run_queue_wait_ns"]) == (None, None, None)
    assert (young["start_ns"], young["cpu_ns"]) == (None, None)
    assert of_tid(tables, 2**32 - 1) == []


def test_what_the_machine_lost_during_a_program_is_its_steal(tmp_path: Path) -> None:
    machine = {"os": "Linux", "steal_before_ns": 70 * MS, "steal_after_ns": 100 * MS}
    files = {MAIN: waits_bytes(image(2), ended_ms=100)}
    tables = recorded(tmp_path / "read", files, environment=machine)
    steal = records(compute_machine_changes(tables, "steal_ns"))
    assert [(row["value"], row["reading"]) for row in steal] == [(30 * MS, 100 * MS)]
    unread = recorded(tmp_path / "unread", files, environment={**machine, "steal_after_ns": None})
    assert records(compute_machine_changes(unread, "steal_ns")) == []
