"""What a number of a table is worth, so that a page can sort `2.55 s` after `146 ms`."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[~≥≤<]?\s*(-?\d[\d,]*(?:\.\d+)?)(?:–(\d[\d,]*(?:\.\d+)?))?\s?([^\W\d_]+|%)?")
_UNITS = {
    **{"s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1.0},
    **{"GiB": 1024.0**3, "MiB": 1024.0**2, "KiB": 1024.0, "B": 1.0},
    "%": 0.01,
}


def find_value(text: str) -> float | None:
    """The first number of a text in its smallest unit, of a range its middle; None for words."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    ends = [float(end.replace(",", "")) for end in found.groups()[:2] if end]
    return sum(ends) / len(ends) * _UNITS.get(found[3] or "", 1.0)
