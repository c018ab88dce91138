"""Writes a trace file event by event; the file gets its name only when it is complete."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tracekit.bundle.store import explained_os_errors

# Level 1 compresses a trace to a twelfth; level 9 takes ten times as long for a sixteenth.
_LEVEL = 1


class TraceFile:
    """A Chrome JSON trace that is being written, compressed if the path ends in `.gz`. Raises OutputUnwritable.

    `about` becomes the file's `otherData`, which the UI lists under "Info and stats".
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._about = about
        self._separator = "\n"
        self._system: Iterable[str] = ()

    def __enter__(self) -> TraceFile:
        with explained_os_errors(self._path):
            self._file: gzip.GzipFile | io.BufferedWriter = (
                gzip.open(self._part, "wb", compresslevel=_LEVEL)
                if self._path.suffix == ".gz"
                else self._part.open("wb")
            )
        about = json.dumps(self._about, ensure_ascii=True)
        self._write(f'{{"displayTimeUnit":"ns","otherData":{about},"traceEvents":[')
        return self

    def add(self, events: Iterable[str]) -> None:
        """Append events; each string has one or more, joined by commas."""
        for text in events:
            self._write(self._separator + text)
            self._separator = ",\n"

    def add_system(self, pieces: Iterable[str]) -> None:
        """Set the text of the kernel's own trace format; it is written when the file is closed."""
        self._system = pieces

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write("\n]")
            opening = ',"systemTraceEvents":"'
            for piece in self._system:
                # Without its quotes: the pieces form one JSON string.
                self._write(opening + json.dumps(piece, ensure_ascii=False)[1:-1])
                opening = ""
            self._write("}\n" if opening else '"}\n')
        with explained_os_errors(self._path):
            try:
                self._file.close()
            finally:
                if kind is not None:
                    self._part.unlink(missing_ok=True)
            if kind is None:
                self._part.replace(self._path)

    def _write(self, text: str) -> None:
        with explained_os_errors(self._path):
            self._file.write(text.encode("utf-8"))
