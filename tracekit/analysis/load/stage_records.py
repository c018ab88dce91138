"""The records of the stage probe's file as one array. Layout: bundle/stages_file.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tracekit.bundle.stages_file import EXEC, IMAGE, MAGIC, RECORD


def read_stages(path: Path) -> np.ndarray[Any, Any]:
    """kind, monotonic_ns, pid, ppid of each whole record, in the order of their stamps; none where there is no file.
    What is no record is left out: a full disk may have cut one. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    layout = np.dtype(RECORD)
    found = np.frombuffer(data, dtype=layout, count=len(data) // layout.itemsize)
    known = (found["magic"] == MAGIC) & (found["kind"] >= IMAGE) & (found["kind"] <= EXEC) & (found["pid"] > 0)
    kept = found[known]
    ordered: np.ndarray[Any, Any] = kept[np.argsort(kept["monotonic_ns"], kind="stable")]
    return ordered
