"""VizTracer started by our own code inside each measured process, after the spawn stamps, one file per process.

VizTracer's own support of workers patches multiprocessing and re-executes spawned children with itself imported: then a
traced spawn is no spawn any more. A forked worker inherits a running tracer; it is stopped and dropped there, because
it remembers the parent's thread id and would book the worker's calls on a thread that the worker does not have.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from typing import Any

PID = "{pid}"
DRAFT = ".part.json"
"""The end of a trace's name while it is written; VizTracer's own format is chosen by `.json`."""

TRACING = ".tracing"
"""The end of the name of a file that exists while a process of a recorded program is traced."""

_tracer: Any = None
_forks_are_known = False
_program: ProgramTracer | None = None


class InsideTracer:
    """The process's tracer. Raises ImportError where VizTracer does not import."""

    def __init__(self, trace: str, extra_path: str, entries: int) -> None:
        """`trace` is the path of the file, PID in it stands for the process id; `extra_path` a folder with VizTracer,
        or empty where it is installed. Of more than `entries` calls the oldest are lost, and the file says so."""
        global _tracer, _forks_are_known
        if extra_path and extra_path not in sys.path:
            sys.path.append(extra_path)
        if _tracer is None:
            from viztracer import VizTracer  # noqa: PLC0415 - only a traced process has it

            _tracer = VizTracer(
                tracer_entries=entries, verbose=0, file_info=False, register_global=False, dump_raw=True
            )
            if hasattr(os, "register_at_fork") and not _forks_are_known:
                _forks_are_known = True
                os.register_at_fork(after_in_child=_forget_parent)
        self.trace = trace

    def start(self) -> None:
        """Record calls from here on, in threads that start later as well."""
        _tracer.start()

    def stop(self) -> None:
        """Record no more."""
        _tracer.stop()

    def save(self) -> None:
        """Write the trace; by rename, so that half a file is never taken for one."""
        path = self.trace.replace(PID, str(os.getpid()))
        _tracer.save(path + DRAFT)
        os.replace(path + DRAFT, path)  # noqa: PTH105 - as the workers' other code
        _tracer.clear()


def _forget_parent() -> None:
    global _tracer
    if _tracer is None:
        return
    _tracer.stop()
    _tracer.clear()
    _tracer = None


class ProgramTracer:
    """VizTracer in one process of a recorded program, from the start of its interpreter to its exit.

    `<pid>.tracing` beside the trace exists from the start of tracing until the trace is whole.
    """

    def __init__(self, trace: str, extra_path: str, entries: int) -> None:
        self._trace = trace
        self._extra_path = extra_path
        self._entries = entries
        self._marker = ""
        self._pid = 0
        self._start()
        atexit.register(self.save)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_again)

    def save(self) -> None:
        """Write the trace of this process. The program may have filled the disk, or outlived its recording: that is
        no matter of its own."""
        if self._pid != os.getpid():
            return
        self._pid = 0
        try:
            self._tracer.stop()
            self._tracer.save()
            os.unlink(self._marker)  # noqa: PTH108
        except Exception:  # noqa: BLE001 - whatever the tracer does, the run goes on
            pass

    def _start(self) -> None:
        self._tracer = InsideTracer(self._trace, self._extra_path, self._entries)
        self._pid = os.getpid()
        self._marker = os.path.join(os.path.dirname(self._trace), f"{self._pid}{TRACING}")  # noqa: PTH118, PTH120
        with open(self._marker, "w"):  # noqa: PTH123
            pass
        self._tracer.start()

    def _start_again(self) -> None:
        """In a forked child, after _forget_parent: a tracer of its own."""
        try:
            self._start()
        except Exception:  # noqa: BLE001 - whatever the tracer does, the run goes on
            self._pid = 0
            return
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # multiprocessing ends its children by os._exit, after its own finalizers; those of the parent it forgets.
            util.register_after_fork(self, _save_at_end)


def trace_program(trace: str, extra_path: str, entries: int) -> None:
    """Trace this process, and those that it forks, each into the file `trace`, see InsideTracer. Raises ImportError."""
    global _program
    _program = ProgramTracer(trace, extra_path, entries)


def _save_at_end(tracer: ProgramTracer) -> None:
    util = sys.modules["multiprocessing.util"]
    # Last: after the queues have been flushed.
    util.Finalize(None, tracer.save, exitpriority=-1000)
