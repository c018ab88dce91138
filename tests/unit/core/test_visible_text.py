"""Characters that act instead of being seen."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.core.visible_text import make_visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – text, 行列 \U0001f40d é", "plain – text, 行列 \U0001f40d é"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone\r\x07", r"\x1b[2Jgone\x0d\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202etxt.exe\u2066", r"abc\u202etxt.exe\u2066"),
        ("zero\u200bwidth\U000e0041", r"zero\u200bwidth\U000e0041"),
        ("half \udc80", r"half \udc80"),
    ],
)
def test_what_acts_is_shown_and_what_is_seen_stays(text: str, shown: str) -> None:
    assert make_visible(text) == shown


def test_one_line_stays_one_line() -> None:
    assert make_visible("a\nb\tc", one_line=True) == r"a\x0ab\x09c"


@given(st.text(alphabet=st.characters(), max_size=60))
def test_nothing_acts_afterwards_and_any_file_can_hold_it(text: str) -> None:
    shown = make_visible(text, one_line=True)
    shown.encode()
    # The joiners of Arabic, Indic scripts and emoji are part of what is seen; U+0600 and the like are signs.
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(char) for char in shown} & {
        *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
    }
