"""How wide the text may be."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tracekit.cli import find_width, wrap_text


@contextmanager
def terminal() -> Iterator[None]:
    """stdout is a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(theirs, "w") as stdout, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        yield
    os.close(ours)


@pytest.mark.parametrize(("columns", "width"), [("72", 72), ("10", 40), ("0", None), ("wide", 100), ("", 100)])
def test_the_width_is_what_columns_says_or_the_terminals(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int | None
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with terminal():
        assert find_width() == width


def test_a_pipe_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert find_width() is None
    assert wrap_text("word " * 40, 10) == "word " * 40


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        ("80", ["name      " + "word " * 13 + "word", "          " + "word " * 13 + "word", "          word word"]),
        ("39", ["name      ", *["    " + "word " * 6 + "word"] * 4, "    word word"]),
        ("200", ["name      " + "word " * 29 + "word"]),
    ],
)
def test_a_long_text_stays_in_its_column_or_gets_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch, columns: str, lines: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    indent = 20 if columns == "39" else 10
    with terminal():
        assert f"{'name':<10}{wrap_text('word ' * 29 + 'word', indent)}".splitlines() == lines
