"""Adds the rows of the table `marks`: the moments that a program named itself."""

from __future__ import annotations

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.bundle.files import is_there
from tracekit.bundle.marks_file import read_marks
from tracekit.bundle.store import Bundle


def add_marks(bundle: Bundle, run_id: str, window: Window, columns: Columns) -> None:
    """Add the marks of a run, in time; those of another clock are left out. Raises BundleCorrupt."""
    if not is_there(bundle.marks):
        return
    for stamp, pid, tid, name in sorted(read_marks(bundle.marks)):
        if (ts_ns := window.stamp(stamp)) is not None:
            columns.add("marks", run_id=run_id, pid=pid, tid=tid, ts_ns=ts_ns, name=name)
