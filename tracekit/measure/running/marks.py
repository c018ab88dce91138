"""Where the marks of a run go while it lasts (`tracekit.mark`), and into its bundle when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tracekit.bundle.files import read_file
from tracekit.bundle.marks_file import MOST_BYTES, VARIABLE
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt


@contextmanager
def collect_marks(bundle: Bundle) -> Iterator[dict[str, str]]:
    """The variable that the run's processes get. Raises OSError.

    What outlives the run finds no file any more: nothing may change what is sealed.
    """
    recording = bundle.root.resolve() / ".marks"
    recording.touch()
    try:
        yield {VARIABLE: str(recording)}
    finally:
        # The program may have put anything in its place.
        data = b""
        with suppress(BundleCorrupt):
            data = read_file(recording, length=MOST_BYTES)
        with suppress(OSError):
            recording.unlink()
        if data:
            bundle.marks.write_bytes(data)
