"""The file of the stage probe, `stages.bin`: how far each new process had come, when.

The layout is that of tracekit/measure/probe/stages.c.

Records of 32 bytes in the order in which they were written, in the machine's own byte order; the last one may be cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tracekit.bundle.files import is_there, read_file
from tracekit.bundle.waits_file import layout

IMAGE, FORK_REQUESTED, FORK_RETURNED, FORKED, INTERPRETER, SITE, EXIT, EXEC = range(1, 9)
"""image: the loader is done. fork requested, fork returned: in the parent. forked: the same in the child. interpreter:
Python is initialised, up to the import of `site`. site: that is done, the program begins. exit: the process ends by
itself. exec: exec is requested, which may fail; of a child of posix_spawn its parent's request."""

MAGIC = 0x53474154
RECORD = [
    ("magic", "u4"),
    ("kind", "u4"),
    ("monotonic_ns", "i8"),
    ("pid", "i4"),
    ("ppid", "i4"),
    ("reserved", "u8"),
]
"""The fields of one record, 32 bytes, with their types as numpy writes them."""

_RECORD = layout(RECORD)


def read_kinds(path: Path) -> Iterator[tuple[int, int]]:
    """(pid, kind) of each whole record in the order of the file; none where there is no file. Raises BundleCorrupt."""
    data = read_file(path) if is_there(path) else b""
    for magic, kind, _, pid, _, _ in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size]):
        if magic == MAGIC and IMAGE <= kind <= EXEC and pid > 0:
            yield pid, kind
