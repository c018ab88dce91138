"""The wait probe's files to rows of `waits` and `holds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.table_factory import BOOT_NS, MS, SECOND
from tests.unit.analysis.load.made_bundles import MAIN, WORKER, lines, main_stream, make_bundle, make_suite, spec
from tests.unit.analysis.load.made_waits import (
    KINDS,
    KNOWN,
    NATIVE,
    entry,
    site_slots,
    slot,
    text_slots,
    waits_bytes,
)
from tracekit.analysis.load import load_run, load_suite
from tracekit.analysis.load.waits import intervals
from tracekit.analysis.tables import COLUMNS, WAIT_KINDS, WAIT_METHODS, Tables, check, records
from tracekit.bundle import waits_file
from tracekit.core.errors import BundleCorrupt

GIL, OTHER_GIL, LOCK = 0x7F00_0000_1000, 0x7F00_0000_9000, 0x5555_0000_0040
THREAD = MAIN + 1


def loaded(tmp_path: Path, slots: Sequence[bytes], **file: Any) -> Tables:
    return load_run(make_bundle(tmp_path, spec(capture="waits"), waits={f"{MAIN}.bin": waits_bytes(slots, **file)}))


def of_files(tmp_path: Path, files: Mapping[str, bytes]) -> Tables:
    streams = {f"{MAIN}.jsonl": lines(main_stream())}
    return load_run(make_bundle(tmp_path, spec(capture="waits"), streams=streams, waits=files))


def codes(tables: Tables) -> list[str]:
    return [row["code"] for row in records(tables.notices)]


def test_a_wait_is_a_row(tmp_path: Path) -> None:
    slots = [
        *site_slots(3, "Pool.<locals>.work", "/app/pool.py", 41),
        slot("gil", 10, 5, tid=THREAD, of=GIL, other=MAIN, site=3),
    ]
    tables = loaded(tmp_path, slots)
    assert records(tables.waits) == [
        {
            "run_id": "001-matmul-fork",
            "pid": MAIN,
            "tid": THREAD,
            "kind": "gil",
            "start_ns": BOOT_NS + 10 * MS,
            "dur_ns": 5 * MS,
            "object": "gil 1",
            "holder_tid": MAIN,
            "function": "Pool.<locals>.work",
            "file": "/app/pool.py",
            "line": 41,
            "method": "waits-probe",
        }
    ]
    assert codes(tables) == []


def test_every_kind_has_its_name(tmp_path: Path) -> None:
    slots = [slot(kind, number, 1, of=7) for number, kind in enumerate(WAIT_KINDS)]
    waits = loaded(tmp_path, slots).waits
    assert tuple(waits["kind"]) == WAIT_KINDS
    assert tuple(KINDS[kind] for kind in WAIT_KINDS) == tuple(range(1, 9))
    assert set(waits["method"]) <= set(WAIT_METHODS)


def test_objects_are_named_for_a_reader(tmp_path: Path) -> None:
    slots = [
        # The address of a GIL seen first in a take or drop counts, too.
        slot("take", 1, of=OTHER_GIL),
        slot("gil", 1, 1, of=GIL),
        slot("gil-switch", 2, 1, of=OTHER_GIL),
        slot("lock", 3, 1, of=LOCK),
        slot("io-read", 4, 1, of=7),
        slot("io-write", 5, 1, of=7),
        slot("child-wait", 6, 1, of=WORKER),
        slot("child-wait", 7, 1, of=-1),
        slot("sleep", 8, 1, of=9),
        slot("poll", 9, 1, of=3),
        # The end of a thread, a locked file, and the look-up of a name.
        slot("lock", 10, 1, of=0),
        slot("lock", 11, 1, of=5),
        slot("io-read", 12, 1, of=-1),
    ]
    found = list(loaded(tmp_path, slots).waits["object"])
    assert found[:4] == ["gil 2", "gil 1", "0x555500000040", "fd 7"]
    assert found[4:9] == ["fd 7", f"pid {WORKER}", "any child", "", ""]
    assert found[9:] == ["", "fd 5", ""]


def test_gils_are_numbered_per_process(tmp_path: Path) -> None:
    files = {
        f"{MAIN}.bin": waits_bytes([slot("gil", 1, 1, of=GIL), slot("gil", 3, 1, of=OTHER_GIL)]),
        f"{WORKER}.bin": waits_bytes([slot("gil", 1, 1, of=OTHER_GIL, tid=WORKER)], pid=WORKER, ppid=MAIN),
    }
    waits = of_files(tmp_path, files).waits
    assert list(zip(waits["pid"], waits["object"], strict=True)) == [
        (MAIN, "gil 1"),
        (MAIN, "gil 2"),
        (WORKER, "gil 1"),
    ]


def test_what_is_not_known_is_missing(tmp_path: Path) -> None:
    slots = [
        slot("gil", 1, 1, of=GIL),
        slot("sleep", 2, 1, site=77),
        *text_slots(5, "no_file"),
        slot("sleep", 3, 1, site=5),
        *site_slots(6, "", "/app/x.py", 0),
        slot("sleep", 4, 1, site=6),
        *text_slots(7, "f\0/app/x.py\0not a number"),
        slot("lock", 5, 1, of=LOCK, other=MAIN, site=7),
    ]
    rows = records(loaded(tmp_path, slots).waits)
    assert [row["function"] for row in rows] == [None, None, "no_file", None, "f"]
    assert [row["file"] for row in rows] == [None, None, None, "/app/x.py", "/app/x.py"]
    assert [row["line"] for row in rows] == [None] * 5
    # Only a wait for the GIL has a holder.
    assert [row["holder_tid"] for row in rows] == [None] * 5


def test_a_hold_ends_at_its_drop(tmp_path: Path) -> None:
    slots = [
        *site_slots(3, "hog", "/app/hog.py", 2),
        slot("drop", 20, 12, tid=THREAD, of=GIL, site=3, flags=KNOWN),
        slot("drop", 30, 12, of=GIL),
    ]
    tables = loaded(tmp_path, slots)
    known, unknown = records(tables.holds)
    assert known == {
        "run_id": "001-matmul-fork",
        "pid": MAIN,
        "tid": THREAD,
        "object": "gil 1",
        "start_ns": BOOT_NS + 8 * MS,
        "end_ns": BOOT_NS + 20 * MS,
        "function": "hog",
        "file": "/app/hog.py",
        "line": 2,
        "method": "waits-probe",
    }
    assert (unknown["start_ns"], unknown["end_ns"]) == (None, BOOT_NS + 30 * MS)
    assert tables.waits.empty


def test_an_open_wait_lasts_until_its_process_is_gone(tmp_path: Path) -> None:
    entries = [
        entry(MAIN),
        entry(THREAD, open_kind="lock", open_ms=40, of=LOCK, site=3),
        entry(THREAD + 1, open_kind="gil", open_ms=90, of=GIL),
    ]
    slots = [*site_slots(3, "Queue.get", "/lib/queue.py", 154), slot("sleep", 1, 1)]
    rows = records(loaded(tmp_path, slots, entries=entries).waits)
    assert [(row["kind"], row["tid"], row["start_ns"], row["dur_ns"]) for row in rows] == [
        ("sleep", MAIN, BOOT_NS + 1 * MS, 1 * MS),
        ("lock", THREAD, BOOT_NS + 40 * MS, 60 * MS),
        ("gil", THREAD + 1, BOOT_NS + 90 * MS, 10 * MS),
    ]
    assert (rows[1]["function"], rows[1]["object"]) == ("Queue.get", "0x555500000040")


def test_an_open_wait_of_a_killed_process_ends_when_it_is_waited_for_or_with_the_run(tmp_path: Path) -> None:
    entries = [entry(WORKER, open_kind="io-read", open_ms=40, of=5)]
    killed = waits_bytes([], pid=WORKER, ppid=MAIN, entries=entries, ended="")
    parents = [slot("fork", 1, 1, of=WORKER), slot("child-ended", 70, of=9, other=WORKER, flags=KNOWN)]
    for number, (slots, end_ms) in enumerate(((parents, 70), (parents[:1], 150))):
        folder = tmp_path / str(number)
        tables = of_files(folder, {f"{MAIN}.bin": waits_bytes(slots), f"{WORKER}.bin": killed})
        (wait,) = records(tables.waits)
        assert (wait["pid"], wait["kind"], wait["dur_ns"]) == (WORKER, "io-read", (end_ms - 40) * MS)


def test_an_open_wait_that_was_recorded_after_all_counts_once(tmp_path: Path) -> None:
    entries = [entry(MAIN, open_kind="lock", open_ms=10, of=LOCK)]
    waits = records(loaded(tmp_path, [slot("lock", 10, 3, of=LOCK)], entries=entries).waits)
    assert [row["dur_ns"] for row in waits] == [3 * MS]


def test_an_open_wait_in_ticks_is_put_on_the_clock(tmp_path: Path) -> None:
    """The counter runs at 2 ticks a ns; another process of the run knows that, this one was killed too early to."""
    entries = [entry(WORKER, open_kind="poll", ticks=1_000_000 + 2 * 40 * MS)]
    young = waits_bytes([], pid=WORKER, entries=entries, ended_ms=90, ticks=(1_000_000, BOOT_NS, 0, 0))
    later = (1_000_000 + 2 * 80 * MS, BOOT_NS + 80 * MS)
    known = waits_bytes([], ticks=(1_000_000 + 2 * MS, BOOT_NS + MS, *later))
    (wait,) = records(of_files(tmp_path / "a", {f"{WORKER}.bin": young, f"{MAIN}.bin": known}).waits)
    assert wait["kind"] == "poll"
    assert wait["start_ns"] == pytest.approx(BOOT_NS + 40 * MS, abs=1000)
    assert wait["start_ns"] + wait["dur_ns"] == BOOT_NS + 90 * MS
    alone = of_files(tmp_path / "b", {f"{WORKER}.bin": young})
    assert alone.waits.empty


@pytest.mark.parametrize(
    "bad",
    [
        slot("gil", 5, 1, tid=0),
        slot("gil", 5, 1, tid=2**32 - 1),
        slot("gil", start_ns=0, dur_ms=1),
        slot("gil", 5, dur_ns=2**64 - 5 * MS),
        slot("gil", start_ns=2**64 - 1, dur_ns=2**64 - 1),
        slot("gil", start_ns=BOOT_NS, dur_ns=2**63),
        slot("gil", start_ns=BOOT_NS - 2 * SECOND, dur_ms=1),
        slot("gil", 5, 5_000),
        slot("drop", 5, dur_ns=2**64 - 1, flags=KNOWN),
        slot("drop", start_ns=2**63, of=GIL),
        slot("thread-start", start_ns=2**63, dur_ms=1),
        slot("thread-end", 5, tid=0),
    ],
)
def test_a_record_that_cannot_be_is_left_out_and_counted(tmp_path: Path, bad: bytes) -> None:
    tables = loaded(tmp_path, [bad, slot("sleep", 1, 1)])
    assert list(tables.waits["kind"]) == ["sleep"]
    assert tables.holds.empty
    assert set(tables.threads["tid"]) == {MAIN, WORKER}
    (told,) = records(tables.notices)
    assert told["code"] == "waits-outside"
    assert f"1 records of the wait probe in process {MAIN}" in told["text"]


def test_lost_records_are_told(tmp_path: Path) -> None:
    tables = loaded(tmp_path, [slot("sleep", 1, 1)], lost=12)
    (told,) = records(tables.notices)
    assert (told["code"], told["run_id"]) == ("waits-lost", "001-matmul-fork")
    assert f"12 records of process {MAIN}" in told["text"]


@pytest.mark.parametrize(("functions", "reason"), waits_file.NO_FUNCTIONS.items())
def test_functions_that_could_not_be_read_are_told_if_there_are_waits(
    tmp_path: Path, functions: int, reason: str
) -> None:
    tables = loaded(tmp_path / "waited", [slot("sleep", 1, 1)], functions=functions, python=0x03100000)
    (told,) = records(tables.notices)
    assert (told["code"], told["run_id"]) == ("no-functions", "001-matmul-fork")
    assert f"of CPython 3.16.0 in process {MAIN} could not be read: {reason}" in told["text"]
    assert [row["no_functions"] for row in records(tables.processes) if row["pid"] == MAIN] == [reason]
    native = loaded(tmp_path / "native", [slot("sleep", 1, 1, flags=NATIVE)], functions=functions)
    assert codes(native) == codes(loaded(tmp_path / "idle", [], functions=functions)) == []
    assert native.processes["no_functions"].isna().all()


@pytest.mark.parametrize(("written", "read"), [(3 * MS, 3 * MS), (2**64 - 1, 0)])
def test_what_a_process_used_before_the_probe_came_is_read_if_it_can_be_a_time(
    tmp_path: Path, written: int, read: int
) -> None:
    tables = loaded(tmp_path, [slot("gil", 1, 1, of=GIL)], before_cpu_ns=written)
    assert [row["before_cpu_ns"] for row in records(tables.processes) if row["pid"] == MAIN] == [read]


@pytest.mark.parametrize(
    ("ended", "written", "read"), [("exit", 0, None), ("exit", 2**64 - 1, None), ("exit", MS, MS), ("", MS, None)]
)
def test_the_cpu_time_of_a_process_is_read_if_it_ended_and_it_can_be_one(
    tmp_path: Path, ended: str, written: int, read: int | None
) -> None:
    tables = loaded(tmp_path, [slot("gil", 1, 1, of=GIL)], ended=ended, process_cpu_ns=written)
    assert [row["cpu_ns"] for row in records(tables.processes) if row["pid"] == MAIN] == [read]


@pytest.mark.parametrize(("written", "read"), [(0, None), (2**64 - 1, None), (MS, MS)])
def test_the_switch_interval_of_a_process_is_read_if_it_can_be_one(
    tmp_path: Path, written: int, read: int | None
) -> None:
    tables = loaded(tmp_path, [slot("gil", 1, 1, of=GIL)], switch_interval_ns=written)
    assert [row["switch_interval_ns"] for row in records(tables.processes) if row["pid"] == MAIN] == [read]


def test_slots_that_were_never_finished_or_are_of_no_known_kind_are_no_rows(tmp_path: Path) -> None:
    hole = slot("sleep", 1, 1)[:-2] + b"\0\0"
    unknown = slot("sleep", 1, 1)[:-2] + b"\xff\xff"
    tables = loaded(tmp_path, [hole, unknown, slot("sleep", 1, 1), slot("take", 1, of=GIL)])
    assert len(tables.waits) == 1
    assert codes(tables) == []


def test_slots_that_were_handed_out_but_not_made_are_not_read(tmp_path: Path) -> None:
    slots = [slot("sleep", number, 0.5) for number in range(6)]
    assert len(loaded(tmp_path / "a", slots, taken=100, ready=4).waits) == 4
    assert len(loaded(tmp_path / "b", slots, taken=5, ready=100).waits) == 5
    assert len(loaded(tmp_path / "c", slots, taken=100, ready=100).waits) == 6


def test_texts_stay_categories_over_runs_and_processes(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, spec("a"), spec("b"))
    for run, function in (("a", "left"), ("b", "right")):
        slots = [*site_slots(1, function, "/app/x.py", 1), slot("gil", 1, 1, of=GIL, site=1)]
        files = {f"{pid}.bin": waits_bytes(slots, pid=pid) for pid in (MAIN, WORKER)}
        make_bundle(folder.root, spec(run), waits=files)
    waits = load_suite(folder).waits
    assert list(zip(waits["run_id"], waits["function"], strict=True)) == [("a", "left")] * 2 + [("b", "right")] * 2
    texts = [name for name, kind in COLUMNS["waits"].items() if kind == "text"]
    assert all(isinstance(waits[name].dtype, pd.CategoricalDtype) for name in texts)
    check("waits", waits)


def test_a_run_without_the_probe_has_no_waits(tmp_path: Path) -> None:
    tables = load_run(make_bundle(tmp_path, spec()))
    assert tables.waits.empty
    assert tables.holds.empty


def test_native_threads_are_told_apart(tmp_path: Path) -> None:
    slots = [
        slot("lock", 1, 1, tid=301, of=LOCK, flags=NATIVE),
        slot("lock", 1, 1, tid=302, of=LOCK, flags=NATIVE),
        slot("gil", 3, 1, tid=302, of=GIL),
        slot("io-read", 3, 1, tid=303, of=1, site=9, flags=NATIVE),
    ]
    roles = loaded(tmp_path, slots).threads.set_index("tid")["role"]
    assert (roles[301], roles[302], roles[303], roles[MAIN]) == ("native", "other", "other", "main")


def test_a_thread_that_a_library_started_is_native_and_named_after_it(tmp_path: Path) -> None:
    """Also without any wait that the probe sees; not once it has run Python."""
    slots = [
        *text_slots(4, "libgomp.so.1"),
        slot("thread-start", 1, 1, tid=301, site=4, flags=NATIVE),
        slot("thread-start", 1, 1, tid=302, site=4, flags=NATIVE),
        slot("gil", 3, 1, tid=302, of=GIL),
        slot("thread-start", 1, 1, tid=303),
    ]
    rows = loaded(tmp_path, slots).threads.set_index("tid")
    assert rows.loc[[301, 302, 303], "role"].tolist() == ["native", "other", "other"]
    assert rows.loc[301, "name"] == "libgomp.so.1"
    assert pd.isna(rows.loc[303, "name"])


def test_a_file_of_another_process_or_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"5\.bin has the pid 100 in its header"):
        of_files(tmp_path / "a", {"5.bin": waits_bytes([])})
    with pytest.raises(BundleCorrupt, match=r"x\.bin is not named after a process"):
        of_files(tmp_path / "b", {"x.bin": waits_bytes([])})


def test_rows_do_not_depend_on_how_the_slots_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = [
        *site_slots(3, "hog", "/app/hog.py", 2),
        slot("gil", 1, 1, of=GIL, site=3, other=THREAD),
        slot("take", 2, of=OTHER_GIL),
        slot("lock", 3, 1, of=LOCK),
        slot("drop", 5, 1, of=OTHER_GIL, site=3, flags=KNOWN),
        slot("lock", 6, 1, of=LOCK, tid=THREAD, flags=NATIVE),
        slot("gil", 7, 1, of=OTHER_GIL, site=3),
    ]
    entries = [entry(MAIN, open_kind="lock", open_ms=3, of=LOCK), entry(THREAD, open_kind="sleep", open_ms=8)]
    whole = loaded(tmp_path / "whole", slots, entries=entries)
    assert len(whole.waits) == 5
    for size in (1, 2, 5):
        monkeypatch.setattr(intervals, "_CHUNK", size)
        cut = loaded(tmp_path / str(size), slots, entries=entries)
        assert records(cut.waits) == records(whole.waits)
        assert records(cut.holds) == records(whole.holds)
        assert records(cut.threads) == records(whole.threads)
