"""The file of a program's marks: what is in it is what the program wrote, or anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.table_factory import BOOT_NS, MS
from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.marks import add_marks
from tracekit.analysis.tables import check, records
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt

WINDOW = Window(BOOT_NS, BOOT_NS + 100 * MS)


def loaded(folder: Path) -> list[tuple[int, int, int, str]]:
    columns = Columns()
    add_marks(Bundle(folder), "001", WINDOW, columns)
    return [
        (row["ts_ns"] - BOOT_NS, row["pid"], row["tid"], row["name"])
        for row in records(check("marks", columns.frame("marks")))
    ]


def test_marks_are_in_time_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    good = [(3, "later"), (1, "now"), (2, "half \\ud83d"), (2, "")]
    lines = [f'{BOOT_NS + at} 7 8 "{name}"'.encode() for at, name in good]
    other_clock, too_large = f'{BOOT_NS - 10**12} 7 8 "x"'.encode(), b'9999999999999999999 9999999999 9999999999 "x"'
    bad = [b"", b"\0" * 5000, b'1 2 "x"', lines[0][:-1], lines[0] + b" ", b'-1 2 3 "x"', other_clock, too_large]
    latin = f"{BOOT_NS + 9} 7 8 ".encode() + b'"\xe9"'
    (tmp_path / "marks.txt").write_bytes(b"\n".join([*bad, *lines, latin, b'12 "cut off']))
    assert loaded(tmp_path) == [
        (1, 7, 8, "now"),
        (2, 7, 8, ""),
        (2, 7, 8, "half \\ud83d"),
        (3, 7, 8, "later"),
        (9, 7, 8, "\ufffd"),
    ]


def test_a_run_without_marks_has_none_and_a_link_is_refused(tmp_path: Path) -> None:
    assert loaded(tmp_path) == []
    (tmp_path / "marks.txt").symlink_to("/etc/passwd")
    with pytest.raises(BundleCorrupt, match="is a link"):
        loaded(tmp_path)
