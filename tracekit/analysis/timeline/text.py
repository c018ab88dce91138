"""Text as it may stand in a trace: names come from other people's programs and can hold anything."""

from __future__ import annotations

import json
import re

_LONGEST = 500
_PLACE = re.compile(r" \((?:[^()]*[/\\])?([^/\\()]+[/\\][^/\\()]+:\d+)\)$")
# A NUL ends a string inside the trace processor, so control characters become their visible pictures.
_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}


def visible(text: str) -> str:
    """The same text without what breaks a reader: control characters as pictures, half characters as `�`.

    Longer text than anybody reads on a slice is cut and ends in `…`; empty text becomes `[no name]`.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").translate(_PICTURES)
    if len(whole) > _LONGEST:
        whole = whole[: _LONGEST - 1] + "…"
    return whole or "[no name]"


def short_place(name: str) -> str:
    """A call's name with the last two parts of its path: `run (/a/b/futures/thread.py:69)` has `futures/thread.py:69`.

    One part would not tell multiprocessing/process.py from futures/process.py; more would not fit a slice.
    """
    return _PLACE.sub(r" (\1)", name)


def short_file(file: str) -> str:
    """A path's last two parts: `futures/thread.py`."""
    return "/".join(file.replace("\\", "/").split("/")[-2:])


def quoted(text: str) -> str:
    """`visible(text)` as a JSON string, in plain UTF-8."""
    return json.dumps(visible(text), ensure_ascii=False)


def micros(ns: int) -> str:
    """Nanoseconds as a JSON number of microseconds, digit by digit: a float would round long times."""
    sign, size = ("-", -ns) if ns < 0 else ("", ns)
    return f"{sign}{size // 1000}.{size % 1000:03d}"
