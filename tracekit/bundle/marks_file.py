"""The marks that a program sets itself (`tracekit.mark`): `marks.txt` of a run, a line each.

    <CLOCK_MONOTONIC ns> <process id> <thread id> "<name>"

A process appends each line by one write, with a line feed before it and after it, to the file that TRACEKIT_MARKS
names: lines of several processes do not mix, and what a full disk cuts off lacks its last quotation mark. Whoever
knows the format may write it: a program without tracekit, or in another language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tracekit.bundle.files import read_file

VARIABLE = "TRACEKIT_MARKS"
MOST_BYTES = 1 << 24
"""Of the file; later marks are lost."""
_LINE = re.compile(rb'(\d{1,19}) (\d{1,10}) (\d{1,10}) "(.*)"')


def read_marks(path: Path) -> Iterator[tuple[int, int, int, str]]:
    """Stamp, process, thread and name of each mark, in the order of the file; other lines are left out.

    Raises BundleCorrupt.
    """
    for line in read_file(path, length=MOST_BYTES).split(b"\n"):
        if match := _LINE.fullmatch(line):
            stamp, pid, tid = (int(part) for part in match.groups()[:3])
            yield stamp, pid, tid, match[4].decode("utf-8", "replace")
