"""The file of the stage probe, `stages.bin`: how far each new process had come, when. Layout: tracekit/probe/stages.c.

Records of 32 bytes in the order in which they were written, in the machine's own byte order; the last one may be cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

IMAGE, FORK_ASKED, FORK_RETURNED, FORKED, INTERPRETER, SITE, EXIT, EXEC = range(1, 9)
"""image: the loader is done. fork asked, fork returned: in the parent. forked: the same in the child. interpreter:
Python is initialised, up to the import of `site`. site: that is done, the program begins. exit: the process leaves, by
itself. exec: it asks for exec, which may fail."""

_MAGIC = 0x53474154
_LAYOUT = np.dtype(
    [
        ("magic", "u4"),
        ("kind", "u4"),
        ("monotonic_ns", "i8"),
        ("pid", "i4"),
        ("ppid", "i4"),
        ("reserved", "u8"),
    ]
)


def records(path: Path) -> np.ndarray[Any, Any]:
    """kind, monotonic_ns, pid, ppid of each whole record, in the order of their stamps; none where there is no file.
    What is no record is left out: a full disk may have cut one. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    found = np.frombuffer(data, dtype=_LAYOUT, count=len(data) // _LAYOUT.itemsize)
    known = (found["magic"] == _MAGIC) & (found["kind"] >= IMAGE) & (found["kind"] <= EXEC) & (found["pid"] > 0)
    kept = found[known]
    ordered: np.ndarray[Any, Any] = kept[np.argsort(kept["monotonic_ns"], kind="stable")]
    return ordered
