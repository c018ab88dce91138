"""How wide the text may be."""

from __future__ import annotations

import pytest

from tracekit.cli import find_width


@pytest.mark.parametrize(("columns", "width"), [("72", 72), ("10", 40), ("0", None), ("wide", None), ("", None)])
def test_the_width_is_the_terminals_or_what_columns_says(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int | None
) -> None:
    """stdout is no terminal here."""
    monkeypatch.setenv("COLUMNS", columns)
    assert find_width() == width
