"""Pages of the kernel's ring buffer to events: known answers, every kind of record, and bytes that are none."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.load import made_kernel as made
from tracekit.analysis.load.kernel.pages import BadPages, PageEvents, decode_pages
from tracekit.analysis.load.kernel.trace import read_trace
from tracekit.bundle.kernel_files import FORMAT, BadFormat, parse_event, parse_page
from tracekit.core.errors import BundleCorrupt, BundleTooNew

LAYOUT = parse_page(made.HEADER_PAGE)
SECOND = 1_000_000_000


def decoded(raw: bytes) -> PageEvents:
    return decode_pages(raw, made.PAGE_BYTES, LAYOUT)


def payloads(events: PageEvents) -> list[tuple[int, bytes]]:
    places = zip(events.ts_ns.tolist(), events.start.tolist(), events.size.tolist(), strict=True)
    return [(ts_ns, events.data[start : start + size].tobytes()) for ts_ns, start, size in places]


def test_events_have_the_time_of_their_page_and_of_all_before_them() -> None:
    records = made.data_record(b"aaaa", 0) + made.data_record(b"bbbbbbbb", 7) + made.data_record(b"cccc", 100)
    raw = made.page(SECOND, records) + made.page(2 * SECOND, made.data_record(b"dddd", 1))
    assert payloads(decoded(raw)) == [
        (SECOND, b"aaaa"),
        (SECOND + 7, b"bbbbbbbb"),
        (SECOND + 107, b"cccc"),
        (2 * SECOND + 1, b"dddd"),
    ]


def test_a_long_pause_is_a_record_of_its_own() -> None:
    pause = (5 << 27) + 9
    records = made.data_record(b"aaaa", 1) + made.time_extend(pause) + made.data_record(b"bbbb", 2)
    assert payloads(decoded(made.page(SECOND, records))) == [(SECOND + 1, b"aaaa"), (SECOND + 3 + pause, b"bbbb")]


@pytest.mark.parametrize(
    ("before", "stamp"),
    [(SECOND, 3 * SECOND), ((1 << 59) + 5, (1 << 59) + 100), ((1 << 59) - 5, (1 << 59) + 1)],
    ids=["plain", "high bits from before", "low bits ran over"],
)
def test_an_absolute_time_lacks_its_highest_bits(before: int, stamp: int) -> None:
    records = made.time_stamp(stamp) + made.data_record(b"aaaa", 4)
    assert payloads(decoded(made.page(before, records))) == [(stamp + 4, b"aaaa")]


def test_an_event_of_more_than_112_bytes_has_its_length_in_a_word_of_its_own() -> None:
    long = bytes(range(200))
    records = made.data_record(long, 3) + made.data_record(b"aaaa", 1)
    assert payloads(decoded(made.page(SECOND, records))) == [(SECOND + 3, long), (SECOND + 4, b"aaaa")]


def test_padding_is_skipped_and_its_time_counts() -> None:
    tail = struct.pack("<I", 29) + b"\xff" * 60
    records = made.discarded(40, 6) + made.data_record(b"aaaa", 1) + tail
    assert payloads(decoded(made.page(SECOND, records))) == [(SECOND + 7, b"aaaa")]


def test_a_page_that_follows_lost_events_is_read_like_any_other() -> None:
    raw = made.page(5, made.data_record(b"aaaa", 1)) + made.page(9, made.data_record(b"bbbb", 1), missed=True)
    events = decoded(raw)
    assert events.ts_ns.tolist() == [6, 10]


@pytest.mark.parametrize("raw", [b"", made.page(SECOND, b"")], ids=["no page", "an empty page"])
def test_without_events_there_are_none(raw: bytes) -> None:
    assert payloads(decoded(raw)) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 40), st.integers(1, 60).map(lambda words: bytes(4 * words))),
        max_size=120,
    )
)
def test_whatever_is_written_is_read(steps: list[tuple[int, bytes]]) -> None:
    now, events = SECOND, []
    for delta, payload in steps:
        now += delta
        events.append((now, payload))
    assert payloads(decoded(made.pages(events))) == events


BAD = {
    "cut off": made.page(1, made.data_record(b"aaaa", 1))[:-8],
    "more used than there is": struct.pack("<QQQ", 4096, 1, 0).ljust(4096, b"\0"),
    "an odd number of bytes used": struct.pack("<QQQ", 9, 1, 0).ljust(4096, b"\0"),
    "an event past the end of what is used": made.page(1, struct.pack("<II", 1 << 5 | 5, 0)),
    "a length in a word that is missing": made.page(1, struct.pack("<I", 1 << 5)),
    "a length of nothing": made.page(1, struct.pack("<III", 1 << 5, 0, 0)),
    "a length that is not a whole number of words": made.page(1, struct.pack("<IIII", 1 << 5, 7, 0, 0)),
    "a length of 4 GB": made.page(1, struct.pack("<II", 1 << 5, 0xFFFFFFFC)),
    "padding of nothing": made.page(1, struct.pack("<II", 1 << 5 | 29, 0)),
    "a time centuries away": made.page(1 << 62, made.data_record(b"aaaa", 1)),
    "an event without an id": made.page(1, struct.pack("<II", 1 << 5, 4)),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_pages_that_contradict_themselves_are_refused(raw: bytes) -> None:
    with pytest.raises(BadPages):
        decoded(raw)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 1 << 63), st.lists(st.integers(0, 2**32 - 1), max_size=40), st.integers(0, 200))
def test_random_words_are_events_or_refused(first: int, words: list[int], used: int) -> None:
    raw = struct.pack("<QQQ", used * 4, first, 0) + struct.pack(f"<{len(words)}I", *words)
    try:
        events = decoded(raw.ljust(made.PAGE_BYTES, b"\0"))
    except BadPages:
        return
    assert (events.size >= 2).all()
    assert ((events.start + events.size) <= made.HEADER + used * 4).all()


def test_fields_are_where_the_format_says() -> None:
    text = made.format_text(11, "u8 a@8:1u; s16 b@10:2s; u64 c@12:8u; s32 d@20:4s")
    form = parse_event(text)
    payload = made.common(11, -3) + struct.pack("<BxhQi", 200, -2, 1 << 40, -7)
    events = decoded(made.page(1, made.data_record(b"\x0c\0\0\0", 0) + made.data_record(payload, 0)))
    chosen = events.with_id(form.id)
    assert chosen.tolist() == [1]
    values = {name: events.column(chosen, form.field(name)).tolist() for name in ("common_pid", "a", "b", "c", "d")}
    assert values == {"common_pid": [-3], "a": [200], "b": [-2], "c": [1 << 40], "d": [-7]}
    with pytest.raises(BadFormat, match="no field e"):
        form.field("e")


def test_an_event_shorter_than_its_description_is_refused() -> None:
    form = parse_event(made.format_text(11, "int a@4:4s; int b@8:4s"))
    events = decoded(made.page(1, made.data_record(made.common(11, 1), 0)))
    assert events.column(events.with_id(11), form.field("a")).tolist() == [1]
    with pytest.raises(BadPages, match="shorter"):
        events.column(events.with_id(11), form.field("b"))


def test_the_cpus_are_one_trace_in_order_of_time(tmp_path: Path) -> None:
    folder = made.write_trace(
        tmp_path / "kernel",
        {
            0: [made.born(10, 100, made.START), made.executed(30, 100, b"/bin/python")],
            1: [made.born(20, 101, 100, made.THREAD), made.ended(50, 101, b"worker")],
            11: [made.probe(40, 101, "take", "entry")],
        },
    )
    trace = read_trace(folder)
    assert trace is not None
    births = trace.kinds["task/task_newtask"]
    assert births["pid"].tolist() == [100, 101]
    assert births["cpu"].tolist() == [0, 1]
    assert trace.kinds["sched/sched_process_exec"].texts == ["/bin/python"]
    assert trace.kinds["sched/sched_process_exit"].texts == ["worker"]
    assert trace.kinds["take_gil entry"]["common_pid"].tolist() == [101]
    assert (trace.first_ns, trace.last_ns) == (10, 50)


def test_a_folder_without_meta_holds_no_trace(tmp_path: Path) -> None:
    assert read_trace(tmp_path) is None


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts.pop(key)


def with_value(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts.update({key: value})


def with_format(name: str, text: str) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts["events"].update({name: text})


@pytest.mark.parametrize(
    "spoil",
    [
        without("pid"),
        without("events"),
        with_value("page_bytes", "4096"),
        with_value("page_bytes", -8),
        with_value("page_bytes", 1 << 40),
        with_value("page_bytes", 4092),
        with_value("page_bytes", 16),
        with_value("header_page", ""),
        with_value("header_page", made.HEADER_PAGE.replace("offset:24", "offset:9000")),
        with_value("header_page", made.HEADER_PAGE.replace("offset:8;", "offset:9;")),
        with_value("events", {}),
        with_value("events", []),
        with_value("uprobes", {"x": {}}),
        with_value("uprobes", {"x": 3}),
        with_value("cpus", {"cpu0": {"overrun": -1}}),
        with_value("cpus", 4),
        with_format("sched/sched_switch", "nothing"),
        with_format("sched/sched_switch", made.format_text(11, "pid_t prev_pid@8:4s")),
        with_format("task/task_newtask", made.format_text(15, "pid_t pid@4000:4s; u64 clone_flags@8:8u")),
        with_format("task/task_newtask", made.format_text(15, "pid_t pid@9:4s; u64 clone_flags@8:8u")),
        with_format("task/task_newtask", made.format_text(15, "pid_t pid@8:3s; u64 clone_flags@8:8u")),
        with_format("sched/sched_process_exec", made.FIELDS["sched/sched_process_exec"][1]),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, spoil: Callable[[dict[str, Any]], None]) -> None:
    folder = made.write_trace(tmp_path / "kernel", {0: [made.born(10, 100, made.START), made.switch(11, 100, 0, 1)]})
    assert read_trace(folder) is not None
    facts = made.meta()
    spoil(facts)
    (folder / "meta.json").write_text(json.dumps(facts))
    with pytest.raises(BundleCorrupt):
        read_trace(folder)


def test_a_text_that_reaches_out_of_its_event_is_refused(tmp_path: Path) -> None:
    ts_ns, payload = made.executed(30, 100, b"/bin/python")
    spoiled = payload[:8] + struct.pack("<I", 5000 << 16 | 20) + payload[12:]
    folder = made.write_trace(tmp_path / "kernel", {0: [(ts_ns, spoiled)]})
    with pytest.raises(BundleCorrupt, match="text"):
        read_trace(folder)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    folder = made.write_trace(tmp_path / "kernel", {0: [made.born(10, 100, made.START)]})
    path = folder / "cpu0.bin"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BundleCorrupt, match="no whole number of pages"):
        read_trace(folder)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    folder = made.write_trace(tmp_path / "kernel", {0: []}, format=FORMAT + 1)
    with pytest.raises(BundleTooNew):
        read_trace(folder)
