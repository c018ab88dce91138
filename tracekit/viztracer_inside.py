"""VizTracer started by our own code inside each measured process, after the spawn stamps, one file per process.

VizTracer's own way into workers patches multiprocessing and re-executes spawned children with itself imported: then a
traced spawn is no spawn any more. A forked worker inherits a running tracer; it is stopped and dropped there, because
it remembers the parent's thread id and would book the worker's calls on a thread that the worker does not have.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # see tracekit/registry.py
if TYPE_CHECKING:
    from typing import Any

ENTRIES = 1_000_000
"""VizTracer's ring: when it is full the oldest calls are lost, and its file says so (`overflow`)."""

_tracer: Any = None


class InsideTracer:
    """The process's tracer. Raises ImportError where VizTracer does not import."""

    def __init__(self, raw: str, extra_path: str) -> None:
        """`raw` is the folder for the file; `extra_path` a folder with VizTracer, or empty when it is installed."""
        global _tracer
        if extra_path and extra_path not in sys.path:
            sys.path.append(extra_path)
        if _tracer is None:
            from viztracer import VizTracer  # noqa: PLC0415 - only a traced process has it

            _tracer = VizTracer(
                tracer_entries=ENTRIES, verbose=0, file_info=False, register_global=False, dump_raw=True
            )
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_parent)
        self._raw = raw

    def start(self) -> None:
        """Record calls from here on, in threads that start later as well."""
        _tracer.start()

    def stop(self) -> None:
        """Record no more."""
        _tracer.stop()

    def save(self) -> None:
        """Write `raw/viztracer-<pid>.json`; by rename, so that half a file is never taken for a trace."""
        path = os.path.join(self._raw, f"viztracer-{os.getpid()}.json")  # noqa: PTH118 - as the workers' other code
        _tracer.save(path + ".part.json")
        os.replace(path + ".part.json", path)  # noqa: PTH105
        _tracer.clear()


def _forget_parent() -> None:
    global _tracer
    if _tracer is None:
        return
    _tracer.stop()
    _tracer.clear()
    _tracer = None
