"""The reader of the wait probe's files against the C header, against files cut anywhere, and against any bytes."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.load import made_waits
from tests.unit.analysis.load.made_bundles import MAIN, WORKER, spec
from tests.unit.analysis.load.made_waits import KNOWN, SLOTS_AT, entry, site_slots, slot, text_slots, waits_bytes
from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import ProcessLifetimes
from tracekit.analysis.load.manifest import Manifest, add_manifest_processes
from tracekit.analysis.load.waits.processes import add_processes, read_probed_processes
from tracekit.analysis.load.waits.rows import add_waits
from tracekit.analysis.load.waits.slots import read_slots as read
from tracekit.analysis.tables import check
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import SLOT, THREAD, read_header
from tracekit.core.errors import BundleCorrupt, BundleTooNew

PROBE = ROOT / "tracekit" / "measure" / "probe"
WINDOW = Window(BOOT_NS - 50 * MS, BOOT_NS + 150 * MS)

SLOTS = [
    *site_slots(1, "work", "/app/x.py", 3),
    slot("fork", 1, 1, of=WORKER),
    slot("gil", 1, 1, of=4096, site=1),
    slot("drop", 3, 1, of=4096, site=1, flags=KNOWN),
    slot("child-ended", 9, of=0, other=WORKER),
]
ENTRIES = [entry(MAIN, start_ms=0, checkpoint_ms=5, cpu_ms=4), entry(MAIN + 1, open_kind="poll", open_ms=9)]
WHOLE = waits_bytes(SLOTS, entries=ENTRIES)


def made(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / f"{MAIN}.bin"
    path.write_bytes(data)
    return path


def load(folder: Path, data: bytes) -> dict[str, pd.DataFrame]:
    """The tables that a run with this file of the probe gets from it; none when it is refused by name."""
    folder.mkdir(exist_ok=True)
    made(folder, data)
    columns, lives = Columns(), ProcessLifetimes()
    try:
        files = read_probed_processes(folder, WINDOW)
    except (BundleCorrupt, BundleTooNew) as error:
        if f"{MAIN}.bin" not in str(error):
            raise
        return {}
    add_processes(lives, files, WINDOW)
    add_manifest_processes(lives, Manifest(status="ok", exit_code=0, ended_ns=WINDOW.ended_ns), program=True)
    add_waits(columns, files, spec(), WINDOW)
    lives.add_to(columns, "r")
    return {name: check(name, columns.frame(name)) for name in ("processes", "threads", "waits", "holds", "notices")}


def fields_of(struct_name: str) -> list[str]:
    """The fields of a struct of waits.h, as far as the reader's table names them: a slot's atomic `kind` too."""
    text = (PROBE / "waits.h").read_text(encoding="utf-8")
    body = re.search(rf"struct {struct_name} \{{(.*?)\}};", text, re.DOTALL)
    assert body is not None
    code = re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
    return re.findall(r"(\w+)(?:\[\w+\])?;", code)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Offsets, sizes and constants of waits.h, as a C compiler has them."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("layout")
    structs = ("waits_slot", "waits_thread", "waits_header")
    text = (PROBE / "waits.h").read_text(encoding="utf-8")
    names = re.findall(r"\b((?:KIND|FLAG|END|FUNCTIONS)_\w+) = ", text) + re.findall(
        r"#define (WAITS_(?!H\b|MAGIC)\w+) ", text
    )
    prints = [
        f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));'
        for name in structs
        for field in fields_of(name)
    ]
    prints += [f'printf("{name} %zu\\n", sizeof(struct {name}));' for name in structs]
    prints += [f'printf("{name} %zu\\n", (size_t){name});' for name in names]
    source = folder / "layout.c"
    head = '#include "waits.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n'
    source.write_text(head + "\n".join(prints) + "\nreturn 0; }\n", encoding="utf-8")
    program = folder / "layout"
    subprocess.run([compiler, "-std=c11", "-I", str(PROBE), "-o", str(program), str(source)], check=True)
    out = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in out.splitlines())}


@pytest.mark.parametrize(("name", "fields"), [("waits_slot", SLOT), ("waits_thread", THREAD)])
def test_the_tables_lie_as_in_c(layout: dict[str, int], name: str, fields: list[tuple[str, str]]) -> None:
    dtype = np.dtype(fields)
    assert dtype.fields is not None
    assert {field: layout[f"{name}.{field}"] for field in fields_of(name)} == {
        field: offset for field, (_, offset) in dtype.fields.items()
    }
    assert layout[name] == dtype.itemsize


def test_the_header_lies_as_in_c(layout: dict[str, int]) -> None:
    """Every field of the C struct is one value of the reader's format, at the same offset."""
    form = waits_file._HEADER.format
    codes = re.findall(r"(\d*)([a-zA-Z])", form.removeprefix("<"))
    items = [
        f"{count}s" if code == "s" else code for count, code in codes for _ in range(int(count or 1) ** (code != "s"))
    ]
    offsets = [struct.calcsize("<" + "".join(items[:number])) for number in range(len(items))]
    assert offsets == [layout[f"waits_header.{field}"] for field in fields_of("waits_header")]
    assert waits_file._HEADER.size == layout["waits_header"]


def test_numbers_are_those_of_c(layout: dict[str, int]) -> None:
    kinds = {name.removeprefix("KIND_"): value for name, value in layout.items() if name.startswith("KIND_")}
    assert {number: name.lower().replace("_", "-") for name, number in kinds.items() if 1 <= number <= 8} == (
        waits_file.WAITS
    )
    names = ("GIL_TAKE", "GIL_DROP", "THREAD_START", "THREAD_END", "THREAD_NAME", "FORK", "IMAGE", "EXEC", "EXIT")
    for name in (*names, "CHILD_ENDED", "TEXT"):
        assert getattr(waits_file, name) == kinds[name]
    assert (layout["FLAG_KNOWN"], layout["FLAG_NATIVE"]) == (waits_file.KNOWN, waits_file.NATIVE)
    reasons = {value for name, value in layout.items() if name.startswith("FUNCTIONS_")}
    assert reasons == {*waits_file.NO_FUNCTIONS, waits_file.FUNCTIONS_READ}
    assert set(waits_file.ENDS) == {value for name, value in layout.items() if name.startswith("END_")}
    assert layout["WAITS_FORMAT"] == waits_file.FORMAT
    assert layout["WAITS_OPEN_TICKS"] == waits_file.OPEN_TICKS
    assert layout["WAITS_SLOTS_AT"] == made_waits.SLOTS_AT
    assert set(made_waits.KINDS.values()) == set(kinds.values()) - {0}


def test_the_header_says_what_was_written(tmp_path: Path) -> None:
    header = read_header(made(tmp_path, waits_bytes(SLOTS, ppid=7, exit_code=3, lost=2, images=4, no_thread_entry=9)))
    assert (header.pid, header.ppid, header.start_ticks) == (MAIN, 7, 7)
    assert (header.slots, header.lost, header.images) == (len(SLOTS), 2, 4)
    assert (header.python, header.no_functions, header.executable) == ((3, 11, 7), "", "/usr/bin/python3")
    assert (header.ended, header.exit_code, header.ended_ns) == ("exit", 3, BOOT_NS + 100 * MS)
    assert header.no_thread_entry == 9
    assert header.version == "3.11.7"
    assert read_header(made(tmp_path, waits_bytes([], python=0x030F00C1))).version == "3.15.0rc1"
    killed = read_header(made(tmp_path, waits_bytes([], ended="", python=0)))
    assert killed.version == ""
    assert (killed.ended, killed.exit_code, killed.ended_ns, killed.python) == ("", None, None, None)


def test_texts_are_put_together_in_any_order(tmp_path: Path) -> None:
    long = "a" * 31 + "é" + "b" * 200
    first, second = text_slots(2, long), text_slots(2**32 - 1, "short")
    mixed = [*reversed(first), slot("sleep", 1, 1), *second]
    assert read(made(tmp_path, waits_bytes(mixed))).texts == {2: long, 2**32 - 1: "short"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts[1:],
        lambda parts: parts[:-1],
        lambda parts: [parts[0], parts[0], parts[2]],
        lambda parts: [*parts[:2], parts[2][:36] + b"\2\0" + parts[2][38:]],
        lambda parts: [*parts[:2], parts[2][:36] + b"\2\xff" + parts[2][38:]],
        lambda parts: [part[:37] + b"\0" + part[38:] for part in parts],
    ],
)
def test_a_text_that_is_not_whole_is_none(tmp_path: Path, damage: object) -> None:
    parts = text_slots(2, "x" * 80)
    assert len(parts) == 3
    assert callable(damage)
    assert read(made(tmp_path, waits_bytes([*damage(parts), *text_slots(3, "whole")]))).texts == {3: "whole"}


def test_a_part_that_comes_twice_counts_once(tmp_path: Path) -> None:
    parts = text_slots(2, "x" * 40)
    assert read(made(tmp_path, waits_bytes([*parts, *text_slots(2, "y" * 40)]))).texts == {2: "x" * 40}


def test_bytes_that_are_no_text_are_made_one(tmp_path: Path) -> None:
    odd = struct.pack("<32sIBBH", b"\xff\xfe a", 2, 0, 1, 48)
    assert read(made(tmp_path, waits_bytes([odd]))).texts == {2: "\N{REPLACEMENT CHARACTER}" * 2 + " a"}


def test_a_hundred_thousand_texts_are_read(tmp_path: Path) -> None:
    slots = [part for number in range(1, 100_001) for part in text_slots(number, f"function_{number} in a file")]
    texts = read(made(tmp_path, waits_bytes(slots))).texts
    assert len(texts) == 100_000
    assert texts[77_777] == "function_77777 in a file"


@pytest.mark.parametrize(
    "header",
    [
        {"magic": b"TKWAIT\0\0"},
        {"slot_bytes": 39},
        {"slot_bytes": 0},
        {"slots_at": 0},
        {"slots_at": SLOTS_AT - 1},
        {"slots_at": 2**32 - 1},
        {"threads": 2**32 - 1},
        {"threads": 513},
    ],
)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, header: dict[str, object]) -> None:
    path = made(tmp_path, waits_bytes(SLOTS, **header))
    with pytest.raises(BundleCorrupt, match=r"100\.bin"):
        read(path)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    path = made(tmp_path, waits_bytes(SLOTS, format=2))
    with pytest.raises(BundleTooNew, match=r"100\.bin has format 2"):
        read(path)


def test_a_file_that_is_gone_is_corrupt(tmp_path: Path) -> None:
    for function in (read, read_header, waits_file.is_begun):
        with pytest.raises(BundleCorrupt, match="cannot be read"):
            function(tmp_path / "1.bin")


@pytest.mark.parametrize(
    "length",
    sorted(
        {
            at + off
            for at in (8, 32, 96, 128, 1152, 1184, 4096, 4096 + 64, SLOTS_AT, SLOTS_AT + 40, len(WHOLE))
            for off in (-1, 0, 1)
        }
        | {1}
    ),
)
def test_a_file_cut_off_is_read_as_far_as_it_goes_or_refused(tmp_path: Path, length: int) -> None:
    load(tmp_path, WHOLE[:length])
    path = made(tmp_path, WHOLE[:length])
    if length < SLOTS_AT:
        with pytest.raises(BundleCorrupt):
            read(path)
    else:
        assert len(read(path).slots) == (min(length, len(WHOLE)) - SLOTS_AT) // 40


stamps = st.integers(0, 2**64 - 1) | st.integers(BOOT_NS - 10 * MS, BOOT_NS + 200 * MS) | st.integers(0, 300 * MS)
tids = st.sampled_from([0, MAIN, MAIN + 1, 2**32 - 1])
kinds = st.sampled_from([0, *made_waits.KINDS.values(), 9, 49, 0xFFFF])
words = st.sampled_from([0, 1, 2, WORKER, MAIN]) | st.integers(0, 2**32 - 1)
bytes_ = st.integers(0, 255) | st.integers(0, 3)
longs = words | stamps
hostile_slots = st.builds(
    lambda *values: struct.pack("<QQQIIIBBH", *values), stamps, stamps, longs, tids, words, words, bytes_, bytes_, kinds
)
open_kinds = st.integers(0, 9) | st.integers(0x100, 0x109) | words
hostile_entries = st.builds(
    lambda *values: struct.pack("<IIQQQQQQII", *values),
    *(tids, open_kinds, stamps, longs, stamps, stamps, longs, longs, words, words),
)


@settings(max_examples=60, deadline=None)
@given(
    slots=st.lists(hostile_slots, max_size=12),
    entries=st.lists(hostile_entries, max_size=4),
    ticks=st.tuples(stamps, stamps, stamps, stamps),
    wild=st.dictionaries(
        st.sampled_from(["monotonic_ns", "ended_ns", "start_ticks", "ready", "taken", "lost", "limit"]),
        stamps,
        max_size=3,
    ),
)
def test_any_records_after_a_sane_header_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    slots: list[bytes],
    entries: list[bytes],
    ticks: tuple[int, ...],
    wild: dict[str, int],
) -> None:
    data = waits_bytes([*SLOTS, *slots], entries=entries, ticks=ticks, **wild)
    tables = load(tmp_path_factory.mktemp("waits"), data)
    # Nothing that is kept lies outside the run by more than a moment.
    slack, begun, ended = 1_000 * MS, BOOT_NS - 50 * MS, BOOT_NS + 150 * MS
    waits, holds, threads = tables["waits"], tables["holds"], tables["threads"]
    assert waits["start_ns"].ge(begun - slack).all()
    assert (waits["start_ns"] + waits["dur_ns"]).le(ended + slack).all()
    assert waits["dur_ns"].ge(0).all()
    assert holds["end_ns"].between(begun - slack, ended + slack).all()
    assert (holds["start_ns"].isna() | (holds["start_ns"] <= holds["end_ns"])).all()
    assert threads["tid"].between(1, 2**22).all()
    assert threads["start_ns"].dropna().between(begun - slack, ended + slack).all()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), at=st.integers(0, 1200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int) -> None:
    folder = tmp_path_factory.mktemp("waits")
    load(folder / "a", WHOLE[:at] + data + WHOLE[at + len(data) :])
    load(folder / "b", WHOLE[:SLOTS_AT] + data)
    load(folder / "c", data)
