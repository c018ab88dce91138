"""Reads how long a worker's imports took, from the output of -X importtime, into the table `imports`.

In the warm-up run of a workload that starts its workers one by one, each spawned worker prints a heading and one line
per import to stderr.log: `import time: self [us] | cumulative | imported package`. A module follows the modules that it
imported, which are indented by two more blanks. tracekit/measure/inside/measured.py prints marks where the main module
begins and ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tracekit.analysis.load.columns import Columns
from tracekit.bundle.files import is_there, read_file
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle

SECTIONS = ("start", "main", "unpickle")
"""start: the interpreter, site, multiprocessing. main: what the main module imports. unpickle: what the worker's target
needs beyond that."""

_HEADING = b"import time: self [us] | cumulative | imported package"
_LINE = re.compile(rb"import time: +(\d{1,12}) \| +(\d{1,12}) \| ( *)([^\s|]{1,500})")
_BEGINS, _ENDS = b"tracekit: main module begins", b"tracekit: main module ends"
_MOST_BYTES = 64 << 20


class Import(NamedTuple):
    """One module: in which section, how deep, and how long it took by itself and with what it imported."""

    section: str
    module: str
    depth: int
    self_ns: int
    cumulative_ns: int


def add_imports(bundle: Bundle, spec: RunSpec, columns: Columns) -> None:
    """Add the imports of the last worker that a warm-up run spawned; nothing where none printed any. Raises
    BundleCorrupt."""
    path = bundle.stderr_log
    if not (spec.warmup and spec.start_method == "spawn" and is_there(path)):
        return
    for item in imports_of(read_file(path, length=_MOST_BYTES).split(b"\n")):
        columns.add("imports", run_id=spec.run_id, **item._asdict())


def imports_of(lines: Iterable[bytes]) -> list[Import]:
    """The imports of the last process that came as far as the end of its main module, in the order in which they ended;
    what it imported after its target was unpickled is tracekit's own, and the task's."""
    found: list[Import] = []
    current: list[Import] = []
    section = SECTIONS[0]
    for line in lines:
        if line.startswith(_HEADING):
            current, section = [], SECTIONS[0]
        elif line.startswith(_BEGINS):
            section = SECTIONS[1]
        elif line.startswith(_ENDS):
            section = SECTIONS[2]
            found = current
        elif match := _LINE.match(line):
            # Of a module at the top one blank stands before its name.
            depth = len(match[3]) // 2
            name = match[4].decode(errors="replace")
            current.append(Import(section, name, depth, int(match[1]) * 1000, int(match[2]) * 1000))
    return found
