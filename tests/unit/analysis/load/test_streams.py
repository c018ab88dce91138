"""Streams that nobody sane would write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.load.made_bundles import lines, main_stream, worker_stream
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import ProcessLifetimes
from tracekit.analysis.load.stream_rows import add_stream
from tracekit.analysis.load.streams import Stream, read_stream
from tracekit.core.errors import BundleCorrupt, BundleTooNew

META = main_stream()[0]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known_keys = sorted({key for record in [*main_stream(), *worker_stream()] for key in record} | {"count", "exit_ns"})
hostile_records = st.dictionaries(st.sampled_from(known_keys), anything, max_size=6)
kinds = st.sampled_from(["meta", "thread", "span", "counter", "result", "failure", "gil", "end", "new-kind", 5, None])


def read(tmp_path: Path, data: bytes) -> Stream | None:
    path = tmp_path / "100.jsonl"
    path.write_bytes(data)
    return read_stream(path)


def read_to_tables(tmp_path: Path, data: bytes) -> None:
    """What a stream may do: be read into tables, or be refused by name."""
    try:
        stream = read(tmp_path, data)
    except (BundleCorrupt, BundleTooNew) as error:
        if "100.jsonl" not in str(error):
            raise
        return
    if stream is not None:
        columns, lives = Columns(), ProcessLifetimes()
        add_stream(columns, lives, "r", stream)
        lives.add_to(columns, "r")
        for table in ("processes", "threads", "spans", "counters"):
            columns.frame(table)


@settings(max_examples=150, deadline=None)
@given(records=st.lists(st.tuples(kinds, hostile_records), max_size=4))
def test_any_record_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    made = [{**record, "kind": kind} for kind, record in records]
    read_to_tables(tmp_path_factory.mktemp("stream"), lines([META, *made], end=False))


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(known_keys), value=anything, line=st.integers(0, 7))
def test_one_wrong_value_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any, line: int
) -> None:
    records = main_stream()
    records[line][key] = value
    read_to_tables(tmp_path_factory.mktemp("stream"), lines(records))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("stream")
    read_to_tables(folder, data)
    read_to_tables(folder, lines([META], end=False) + data + b"\n")


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 10_000))
def test_a_stream_cut_anywhere_is_read_as_far_as_it_goes(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    data = lines(main_stream())
    cut = data[: length % len(data)]
    stream = read(tmp_path_factory.mktemp("stream"), cut)
    whole_lines = cut.count(b"\n")
    if whole_lines == 0:
        assert stream is None
    else:
        assert stream is not None
        assert stream.truncated
        kept = len(stream.spans) + len(stream.counters) + len(stream.threads)
        kept += (stream.result is not None) + (stream.gil is not None)
        assert kept == whole_lines - 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"span","tid":1,"name":"run","start_ns":1,"dur_ns":NaN}',
        b'{"kind":"span","tid":1,"name":"run","start_ns":1,"dur_ns":Infinity}',
        b'{"kind":"span","tid":1,"name":"run","start_ns":1,"dur_ns":-1}',
        b'{"kind":"span","tid":1,"name":"run","start_ns":1,"dur_ns":1.5}',
        b'{"kind":"span","tid":1,"name":"run","start_ns":9999999999999999999999,"dur_ns":1}',
        b'{"kind":"span","tid":1,"name":null,"start_ns":1,"dur_ns":1}',
        b'{"kind":"span","name":"run","start_ns":1,"dur_ns":1}',
        b'{"kind":"counter","tid":1,"counter":"cpu_ns","value":1e400,"unit":"ns","scope":"thread","ts_ns":1}',
        b'{"kind":"counter","tid":1,"counter":"cpu_ns","value":"1","unit":"ns","scope":"thread","ts_ns":1}',
        b'{"kind":"result","checksum":5,"items":1}',
        b'{"kind":"gil","enabled":1}',
        b'["kind","span"]',
        b"{",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind":"other","deep":' + b"[" * 100_000,
        json.dumps(META).encode(),
    ],
)
def test_a_whole_line_that_does_not_fit_is_corrupt(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(BundleCorrupt, match=r"100\.jsonl, line 2: "):
        read(tmp_path, lines([META], end=False) + line + b"\n")


def test_what_a_newer_minor_version_adds_is_ignored(tmp_path: Path) -> None:
    added = [{**META, "colour": {"deep": [1]}}, {"kind": "mood", "value": []}]
    stream = read(tmp_path, lines(added))
    assert stream is not None
    assert not stream.truncated


def test_the_end_counts_the_records_before_it(tmp_path: Path) -> None:
    data = lines(main_stream()).split(b"\n")
    with pytest.raises(BundleCorrupt, match="has 7 records before its end, which counts 8"):
        read(tmp_path, b"\n".join([*data[:3], *data[4:]]))


def test_nothing_comes_after_the_end(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="after the end record"):
        read(tmp_path, lines([META]) + b'{"kind":"gil","enabled":true}\n')


def test_the_first_record_is_meta(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match="line 1: the first record is not `meta`"):
        read(tmp_path, lines(main_stream()[1:]))


def test_text_that_no_table_can_hold_is_made_holdable(tmp_path: Path) -> None:
    odd = b'{"kind":"thread","tid":1,"role":"other","name":"\\ud800 \\\\ud800 \\u0000 \xf0\x9f\x90\x8d"}\n'
    stream = read(tmp_path, lines([META], end=False) + odd)
    assert stream is not None
    columns, lives = Columns(), ProcessLifetimes()
    add_stream(columns, lives, "r", stream)
    lives.add_to(columns, "r")
    assert columns.frame("threads")["name"][0] == "\N{REPLACEMENT CHARACTER} \\ud800 \0 \N{SNAKE}"
