"""Makes text safe for a trace: names come from users' programs and may contain anything."""

from __future__ import annotations

import json
import re

from tracekit.core.visible_text import make_visible

_LONGEST = 500
_PLACE = re.compile(r" \((?:[^()]*[/\\])?([^/\\()]+[/\\][^/\\()]+:\d+)\)$")


def replace_control(text: str) -> str:
    """Replace what a reader of the trace cannot take: a NUL ends a string inside the trace processor, and half a
    surrogate pair is no UTF-8.

    Text of more than _LONGEST characters is cut and ends in `…`; empty text becomes `[no name]`.
    """
    to_int = make_visible(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), one_line=True)
    if len(to_int) > _LONGEST:
        to_int = to_int[: _LONGEST - 1] + "…"
    return to_int or "[no name]"


def shorten_call(name: str) -> str:
    """Shorten the path in a call's name to its last two parts: `run (/a/b/futures/thread.py:69)` to `run
    (futures/thread.py:69)`. With one part, multiprocessing/process.py and futures/process.py would look alike.
    """
    return _PLACE.sub(r" (\1)", name)


def shorten_path(file: str) -> str:
    """Shorten a path to its last two parts: `futures/thread.py`."""
    return "/".join(file.replace("\\", "/").split("/")[-2:])


def quote(text: str) -> str:
    """The text as a JSON string, control characters replaced."""
    return json.dumps(replace_control(text), ensure_ascii=False)


def format_us(ns: int) -> str:
    """Format nanoseconds as a JSON number of microseconds, from integers: a float would round long times."""
    sign, size = ("-", -ns) if ns < 0 else ("", ns)
    return f"{sign}{size // 1000}.{size % 1000:03d}"
