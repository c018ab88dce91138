"""Copies the buffers of a tracefs instance into files during a run: whole pages, nothing parsed.

By a thread of tracekit's own process, never of the measured one. It sleeps until a buffer is filled to `buffer_percent`
and reads at least once a second, which is the most that is lost when tracekit is killed.
"""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

from tracekit.bundle.kernel_files import PAGES

_WAIT_MS = 1000
_PAUSE_MS = 20
"""Older kernels wake a reader at the first event: with this pause it reads in turns instead of event by event."""


class PageReader:
    """Copies per_cpu/cpuN/trace_pipe_raw of `instance` to `folder`/cpuN.bin, from construction to `finish`."""

    def __init__(self, instance: Path, folder: Path, page_bytes: int) -> None:
        """Raises OSError. `page_bytes` is the size of one buffer page with its header."""
        self._page_bytes = page_bytes
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._failure: OSError | None = None
        self._sources: dict[int, int] = {}
        try:
            for path in sorted(instance.glob("per_cpu/cpu[0-9]*")):
                source = os.open(path / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
                self._sources[source] = -1
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._sources[source] = os.open(folder / PAGES.format(cpu=path.name), flags, 0o644)
        except OSError:
            self._close()
            raise
        self._thread = threading.Thread(target=self._run, name="tracekit-kernel-pages", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Read the rest, once tracing is off, and close everything. Raises OSError where a page was not written."""
        os.eventfd_write(self._ended, 1)
        self._thread.join()
        try:
            if self._failure is None:
                self._drain()
        finally:
            self._close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        for source in self._sources:
            poller.register(source, select.POLLIN)
        ending = select.poll()
        ending.register(self._ended, select.POLLIN)
        try:
            while self._ended not in dict(poller.poll(_WAIT_MS)):
                self._drain()
                if ending.poll(_PAUSE_MS):
                    return
        except OSError as error:
            self._failure = error

    def _drain(self) -> None:
        for source, target in self._sources.items():
            while page := self._page(source):
                _write_all(target, page)

    def _page(self, source: int) -> bytes:
        try:
            return os.read(source, self._page_bytes)
        except BlockingIOError:
            return b""

    def _close(self) -> None:
        os.close(self._ended)
        for source, target in self._sources.items():
            os.close(source)
            if target >= 0:
                os.close(target)
        self._sources = {}


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]
