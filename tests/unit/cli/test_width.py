"""How wide the text may be."""

from __future__ import annotations

import pytest

from tracekit.cli import find_width, wrap_text


@pytest.mark.parametrize(("columns", "width"), [("72", 72), ("10", 40), ("0", None), ("wide", None), ("", None)])
def test_the_width_is_the_terminals_or_what_columns_says(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int | None
) -> None:
    """stdout is no terminal here."""
    monkeypatch.setenv("COLUMNS", columns)
    assert find_width() == width


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        ("80", ["name      " + "word " * 13 + "word", "          " + "word " * 13 + "word", "          word word"]),
        ("39", ["name      ", *["    " + "word " * 6 + "word"] * 4, "    word word"]),
        ("", ["name      " + "word " * 29 + "word"]),
    ],
)
def test_a_long_text_stays_in_its_column_or_gets_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch, columns: str, lines: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    indent = 20 if columns == "39" else 10
    assert f"{'name':<10}{wrap_text('word ' * 29 + 'word', indent)}".splitlines() == lines
