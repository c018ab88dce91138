"""The stage probe's file: whole records in order, and nothing that is none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.analysis.load.starts import read_stages
from tracekit.bundle import stages_file
from tracekit.bundle.stages_file import EXIT, FORKED, IMAGE, SITE, read_kinds

MAGIC = 0x53474154


def record(kind: int, stamp: int, pid: int = 7, magic: int = MAGIC) -> bytes:
    return np.array([(magic, kind, stamp, pid, 1, 0)], dtype=stages_file.RECORD).tobytes()


def read(tmp_path: Path, data: bytes) -> list[tuple[int, int, int]]:
    path = tmp_path / "stages.bin"
    path.write_bytes(data)
    return [(int(item["kind"]), int(item["monotonic_ns"]), int(item["pid"])) for item in read_stages(path)]


def test_records_come_in_the_order_of_their_stamps(tmp_path: Path) -> None:
    """Two processes may write in another order than they took their stamps."""
    data = record(SITE, 30) + record(IMAGE, 10) + record(FORKED, 20, pid=8)
    assert read(tmp_path, data) == [(IMAGE, 10, 7), (FORKED, 20, 8), (SITE, 30, 7)]


def test_a_record_that_was_cut_is_left_out(tmp_path: Path) -> None:
    data = record(IMAGE, 10) + record(EXIT, 20)
    for length in range(32, 64):
        assert read(tmp_path, data[:length]) == [(IMAGE, 10, 7)]


def test_what_is_no_record_is_left_out(tmp_path: Path) -> None:
    others = [record(IMAGE, 1, magic=1), record(0, 1), record(EXIT + 2, 1), record(IMAGE, 1, pid=0), bytes(32)]
    assert read(tmp_path, b"".join([*others, record(IMAGE, 10)])) == [(IMAGE, 10, 7)]


def test_no_file_has_no_records(tmp_path: Path) -> None:
    assert len(read_stages(tmp_path / "stages.bin")) == 0


@given(data=st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stages.bin"
        path.write_bytes(data)
        kept, kinds = read_stages(path), list(read_kinds(path))
    assert len(kept) <= len(data) // 32
    assert sorted(kinds) == sorted(zip(kept["pid"].tolist(), kept["kind"].tolist(), strict=True))
    assert set(kept["magic"].tolist()) <= {MAGIC}
