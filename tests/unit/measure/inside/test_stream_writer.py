"""The stream of one process."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.bundle import stream_records
from tracekit.bundle.stream_schema import RECORDS, SpanRecord, StreamRecord
from tracekit.measure.inside import counters, stream_writer
from tracekit.measure.inside.stream_writer import StreamWriter, encode, encode_record, install, run_task

SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), SCALARS))
def test_a_record_is_the_json_that_the_json_module_reads(record: dict[str, Any]) -> None:
    line = encode(record)
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line) == record


@pytest.mark.parametrize(("kind", "record"), RECORDS.items())
def test_a_record_is_written_with_the_kind_and_the_keys_that_were_given(kind: str, record: type[StreamRecord]) -> None:
    keys = dict.fromkeys(record.__annotations__, 1)
    written = json.loads(encode_record(getattr(stream_records, record.__name__)(**keys)))
    assert written == {"kind": kind, **keys}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamWriter:
    monkeypatch.setattr(stream_writer, "_current", None)
    return install(StreamWriter(str(tmp_path), counters.choose("auto"), periodic=False))


def records(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_task_leaves_its_span_and_its_result(own: StreamWriter, tmp_path: Path) -> None:
    assert run_task(lambda item: item * 2, 3, 21) == 42
    own.close(0)
    span, end = records(tmp_path)
    assert (span["name"], span["item"], span["tid"]) == ("task", 3, threading.get_native_id())
    assert list(span) == ["kind", *SpanRecord.__annotations__]
    assert 0 <= span["cpu_ns"] <= span["dur_ns"]
    assert (end["kind"], end["count"], end["exit_code"]) == ("end", 1, 0)


def test_a_task_that_raises_leaves_its_span_too(own: StreamWriter, tmp_path: Path) -> None:
    def fails(item: int) -> int:
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        run_task(fails, 0, 1)
    own.close(1)
    assert [record["kind"] for record in records(tmp_path)] == ["span", "end"]


def test_the_reading_gap_is_the_median_of_empty_tasks(
    own: StreamWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Walls of 0, 1, 4 ... 10,000 ns, out of order, of which 40 ns were CPU time: the 51st is 2,500 ns.
    walls = [((37 * turn) % 101) ** 2 for turn in range(101)]
    stamps = [stamp for wall in walls for stamp in (1_000_000, 1_000_000 + wall)]
    clock = iter([*stamps, *[2_000_000] * 9])
    readings = iter([(10, 0, 0), (50, 0, 0)] * 101)
    monkeypatch.setattr(stream_writer, "now_ns", lambda: next(clock))
    monkeypatch.setattr(own.source, "task_reading", lambda: next(readings))
    own.calibrate()
    own.flush()
    (gap,) = records(tmp_path)
    assert (gap["counter"], gap["value"]) == ("reading_gap_ns", 2_500 - 40)


def test_threads_may_record_at_the_same_time(own: StreamWriter, tmp_path: Path) -> None:
    def many() -> None:
        for index in range(500):
            run_task(abs, index, -1)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own.close(0)
    written = records(tmp_path)
    assert written[-1]["count"] == 2000
    assert sum(record["kind"] == "span" for record in written) == 2000


def test_outside_a_measured_process_there_is_no_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_writer, "_current", None)
    with pytest.raises(RuntimeError, match="not in a measured process"):
        stream_writer.current_writer()
