"""A worker process, from the stamp of its first instruction to its end record."""

from __future__ import annotations

import os
import sys
import threading

from tracekit.bundle.stream_records import GilRecord, MetaRecord, StampRecord
from tracekit.core.clock import now_ns
from tracekit.measure.inside import counters, stream_writer

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def measured_worker(options: dict[str, Any], ready_ns: int, unpickled_ns: int | None, run: Callable[[], None]) -> None:
    """Record this process while `run`, the pool's own worker loop, does its tasks.

    `options` are Work.worker_options with worker and spawn_requested_ns; `ready_ns` is the worker's first stamp in
    `run`, `unpickled_ns` the one before it where the process object was pickled. What `run` raises passes through; a
    worker that leaves by os._exit or a signal has no end record, and that is how the reader knows.
    """
    begun_ns, imported_ns = _main_stamps()
    source = counters.choose(options["counters"])
    own = stream_writer.install(stream_writer.StreamWriter(options["streams"], source, periodic=True))
    own.write(
        MetaRecord(
            format=options["format"],
            role="worker",
            pid=os.getpid(),
            ppid=os.getppid(),
            tid=threading.get_native_id(),
            worker=options["worker"],
            start_ticks=stream_writer.read_start_ticks(),
            spawn_requested_ns=options["spawn_requested_ns"],
            main_begun_ns=begun_ns,
            main_imported_ns=imported_ns,
            unpickled_ns=unpickled_ns,
            interpreter_ready_ns=ready_ns,
            counter_source=own.source.name,
        )
    )
    own.write_counters("start")
    own.flush()
    tracer = None
    if options["trace"]:
        from tracekit.measure.inside.viztracer import InsideTracer  # noqa: PLC0415 - only a traced worker pays for it

        tracer = InsideTracer(options["trace"], options["extra_path"], options["entries"])
        tracer.start()
    exit_code: int | None = None
    own.write(StampRecord(name="recording", ts_ns=now_ns()))
    try:
        run()
        exit_code = 0
    finally:
        own.write(StampRecord(name="done", ts_ns=now_ns()))
        if tracer is not None:
            tracer.stop()
        own.write_counters("end")
        own.write(GilRecord(enabled=stream_writer.is_gil_enabled()))
        own.close(exit_code)
        if tracer is not None:
            tracer.save()


def _main_stamps() -> tuple[int | None, int | None]:
    """When the import of the program's main module began and ended in this process, or in the fork server that it is a
    copy of; None, None where it was not imported again."""
    again = sys.modules.get("__mp_main__")
    return getattr(again, "BEGUN_NS", None), getattr(again, "IMPORTED_NS", None)
