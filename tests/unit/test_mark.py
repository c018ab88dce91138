"""`tracekit.mark`: harmless where nothing records, and where what it writes to is gone or full."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tracekit
from tracekit.bundle.marks_file import read_marks
from tracekit.core import marking
from tracekit.system import interpreters


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What TRACEKIT_MARKS names while a program is recorded."""
    path = tmp_path / "marks"
    path.touch()
    monkeypatch.setattr(marking, "_file", str(path))
    return path


def test_a_mark_has_its_moment_process_thread_and_name(file: Path) -> None:
    tracekit.mark("load begins")
    other = threading.Thread(target=tracekit.mark, args=("load ends",))
    other.start()
    other.join()
    first, second = read_marks(file)
    assert (first[1], first[3], second[1], second[3]) == (os.getpid(), "load begins", os.getpid(), "load ends")
    assert first[2] == threading.get_native_id() != second[2]
    assert first[0] < second[0]


def test_whatever_the_name_it_is_one_mark(file: Path) -> None:
    names = ['"quoted" 1 2 3 "', "two\nlines", "\x1b[2J\0", "行列 🎉", "", "x" * 1000, "\udc80"]
    for name in names:
        tracekit.mark(name)
    found = [name for *_, name in read_marks(file)]
    assert found == ['"quoted" 1 2 3 "', "two lines", "\x1b[2J\0", "行列 🎉", "", "x" * 200, "\\udc80"]


def test_what_a_full_disk_cut_off_is_no_mark_and_spoils_none(file: Path) -> None:
    tracekit.mark("first")
    whole = file.read_bytes()
    tracekit.mark("second")
    file.write_bytes(file.read_bytes()[:-4])
    tracekit.mark("third")
    assert [name for *_, name in read_marks(file)] == ["first", "third"]
    assert whole.strip()


@pytest.mark.parametrize("instead", ["/dev/full", "/nowhere/marks", "/proc/self", ""])
def test_a_mark_that_cannot_be_written_is_silent(monkeypatch: pytest.MonkeyPatch, instead: str) -> None:
    monkeypatch.setattr(marking, "_file", instead)
    tracekit.mark("lost")


def test_where_nothing_records_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marking, "_file", "")
    monkeypatch.setattr(marking.os, "open", pytest.fail)
    tracekit.mark("nothing")


def test_it_imports_nothing_more_in_any_python_there_is() -> None:
    root = str(Path(tracekit.__file__).parents[1])
    code = (
        "import sys; old = set(sys.modules); import tracekit; tracekit.mark('x'); print(sorted(set(sys.modules) - old))"
    )
    for python in {sys.executable, *(item.executable for item in interpreters.discover())}:
        done = subprocess.run(
            [python, "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
        )
        assert done.stdout == "['tracekit', 'tracekit.core', 'tracekit.core.marking']\n"


def test_any_other_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'marks'"):
        getattr(tracekit, "marks")  # noqa: B009
