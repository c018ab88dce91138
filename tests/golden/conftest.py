"""What golden tests share: a text is compared with the file that was accepted, and `make golden` accepts a new one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ACCEPTED = Path(__file__).parent / "accepted"
_FLOAT = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_SIGNIFICANT = 9
"""Digits. The last ones of a double differ between CPUs and versions of numpy."""

Golden = Callable[[str, str], None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name, seen)`: fail unless `seen` is the text in accepted/`name`; under `--accept`, write it there."""
    accept = bool(request.config.getoption("--accept"))

    def compare(name: str, seen: str) -> None:
        path = ACCEPTED / name
        if accept:
            path.parent.mkdir(exist_ok=True)
            path.write_text(seen, encoding="utf-8")
            return
        wanted = path.read_text(encoding="utf-8") if path.is_file() else ""
        if seen != wanted:
            diff = difflib.unified_diff(
                wanted.splitlines(), seen.splitlines(), f"accepted/{name}", "seen now", lineterm="", n=2
            )
            shown = "\n".join(diff) or "only the line ends differ"
            pytest.fail(f"{name} changed:\n{shown}\n\nIf it is meant to: make golden", pytrace=False)

    return compare


def rounded(text: str) -> str:
    """The text with every floating-point number in it cut to nine significant digits."""
    return _FLOAT.sub(lambda found: repr(float(f"{float(found[0]):.{_SIGNIFICANT}g}")), text)
