"""Names come from other people's programs and can hold anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.analysis.timeline.text import format_us, quote, replace_control, shorten_call


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dot (matmul.py:20)", "dot (matmul.py:20)"),
        ('<lambda> "x" \\ /', '<lambda> "x" \\ /'),
        ("行列", "行列"),
        ("a\0b", r"a\x00b"),
        ("a\nb\x7f", r"a\x0ab\x7f"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("half \ud800 of one", "half � of one"),
        ("\U0001f40d", "\U0001f40d"),
        ("", "[no name]"),
    ],
)
def test_names_stay_readable_and_lose_what_breaks_a_reader(name: str, shown: str) -> None:
    assert replace_control(name) == shown
    assert json.loads(quote(name)) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("run (/usr/lib/python3.11/concurrent/futures/process.py:338)", "run (futures/process.py:338)"),
        ("run (C:\\Python\\Lib\\threading.py:971)", "run (Lib\\threading.py:971)"),
        ("task (matmul.py:10)", "task (matmul.py:10)"),
        ("_thread.lock.acquire", "_thread.lock.acquire"),
        ("f (<string>:1)", "f (<string>:1)"),
        ("odd (a) (/b/c/d.py:1)", "odd (a) (c/d.py:1)"),
    ],
)
def test_a_call_shows_the_end_of_its_path(name: str, shown: str) -> None:
    assert shorten_call(name) == shown


def test_a_name_that_nobody_reads_to_its_end_is_cut() -> None:
    assert len(replace_control("x" * 100_000)) == 500
    assert replace_control("x" * 100_000).endswith("…")


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_name_makes_valid_utf8_json(name: str) -> None:
    text = quote(name)
    assert isinstance(json.loads(text.encode("utf-8")), str)
    assert not any(ord(char) < 0x20 for char in text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0.000"), (1, "0.001"), (999, "0.999"), (1_001, "1.001"), (9_007_199_254_740_993, "9007199254740.993")],
)
def test_microseconds_keep_every_nanosecond(ns: int, text: str) -> None:
    assert format_us(ns) == text


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_microseconds_are_a_json_number_that_gives_the_nanoseconds_back(ns: int) -> None:
    to_int, _, rest = format_us(ns).lstrip("-").partition(".")
    assert (int(to_int) * 1000 + int(rest)) * (-1 if ns < 0 else 1) == ns
    json.loads(format_us(ns))
