"""The measured main process: read the spec, do the work under its model, record it, exit.

It runs on CPython 3.9 and newer with the standard library alone, whatever Python tracekit itself runs on. Nothing here
starts a helper thread, and nothing is printed but a failure's traceback: stdout and stderr belong to the workload.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
import sysconfig
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from tracekit.bundle.names import VIZTRACER, split_capture
from tracekit.bundle.spec import FORMAT, RunSpec
from tracekit.bundle.store import Bundle
from tracekit.bundle.stream_records import (
    FailureRecord,
    GilRecord,
    MetaRecord,
    ObservationRecord,
    ResultRecord,
    ThreadRecord,
)
from tracekit.core import clock
from tracekit.measure.inside import counters, stream_writer, worker_process
from tracekit.measure.inside.models import MODELS, Model, Work
from tracekit.measure.inside.target import as_workload, load_target
from tracekit.measure.inside.viztracer import PID, InsideTracer
from tracekit.workload import Workload

_HANDSHAKE_LIMIT_S = 10.0

PRELOADED = worker_process
"""A forked worker finds this module imported, as a forked worker of a user's program finds that program's modules."""


def main(folder: str) -> int:
    """Do the run that `folder`/spec.json describes; returns the exit code. A failure is recorded, not printed."""
    bundle = Bundle(Path(folder))
    spec = bundle.spec()
    source = counters.choose(spec.counters)
    own = stream_writer.install(stream_writer.StreamWriter(str(bundle.streams), source, periodic=False))
    gil_before = stream_writer.is_gil_enabled()
    own.write(_meta(own, gil_before))
    own.flush()
    tracer = None
    if VIZTRACER in split_capture(spec.capture):
        tracer = InsideTracer(str(bundle.viztracer_trace(PID).absolute()), spec.extra_path, spec.trace_entries)
    try:
        _measure(spec, bundle, own, tracer)
        exit_code = 0
    except Exception as error:  # noqa: BLE001 - whatever the workload raises is the run's result
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        # To stderr.log, where the remedy of a failed run sends people.
        sys.stderr.write(text)
        own.write(FailureRecord(type=type(error).__name__, message=str(error), traceback=text))
        exit_code = 1
    own.write(GilRecord(enabled=stream_writer.is_gil_enabled()))
    own.close(exit_code)
    if tracer is not None:
        tracer.save()
    return exit_code


def _measure(spec: RunSpec, bundle: Bundle, own: stream_writer.StreamWriter, tracer: InsideTracer | None) -> None:
    workload = as_workload(load_target(spec.workload_target), spec.workload_target, spec.items)
    with workload.items(spec.size, spec.seed, spec.parameters) as items:
        if workload.worker_per_item and spec.workers != 1:
            raise ValueError(f"{spec.workload} starts one worker at a time: run it with --workers 1")
        results = _work(spec, bundle, own, tracer, workload, items)
        checksum = workload.combine(results)
        if not isinstance(checksum, str):
            raise TypeError(f"combine of {spec.workload} returned {type(checksum).__name__}, not str")
        for item, unit in workload.observed(results):
            own.write(ObservationRecord(what=item.what, value=item.value, unit=unit, text=item.text, **item.dimensions))
    own.write(
        ResultRecord(checksum=checksum, items=len(items), workload_kind=workload.kind, workload_page=workload.page)
    )


def _work(
    spec: RunSpec,
    bundle: Bundle,
    own: stream_writer.StreamWriter,
    tracer: InsideTracer | None,
    workload: Workload,
    items: list[Any],
) -> list[Any]:
    """Do all items under the spec's model, which is what is timed. Returns their results."""
    model: Model = MODELS.load(spec.model)
    if spec.warmup:
        own.window_ended = _Handshake(bundle, own)
        if workload.worker_per_item:
            # Not timed, and one worker at a time: each may print how long its imports take, in stderr.log.
            os.environ["PYTHONPROFILEIMPORTTIME"] = "1"
    work = Work(
        task=workload.task,
        items=items,
        workers=spec.workers,
        writer=own,
        worker_options={
            "format": FORMAT,
            "streams": str(bundle.streams.resolve()),
            "counters": own.source.name,
            "trace": "" if tracer is None else tracer.trace,
            "extra_path": spec.extra_path,
            "entries": spec.trace_entries,
        },
        worker_per_item=workload.worker_per_item,
        warmup=spec.warmup,
    )
    own.calibrate()
    own.write_counters("start", machine=True)
    if tracer is not None:
        tracer.start()
    started = clock.now_ns()
    try:
        return model.run(work)
    finally:
        ended = clock.now_ns()
        if tracer is not None:
            tracer.stop()
        own.write_span("run", started, ended)
        own.write(
            ThreadRecord(tid=threading.get_native_id(), role="main", name="MainThread", start_ns=started, end_ns=ended)
        )


class _Handshake:
    """In the warm-up run only: let the parent read the workers' memory while all of them are alive and idle.

    The first file says how many workers there must be: with little work some may still be starting when all is done.
    Two marker files, because that works the same on every system; it is polled here, not in a run that is timed.
    """

    def __init__(self, bundle: Bundle, own: stream_writer.StreamWriter) -> None:
        self._own = own
        self._ready = bundle.workers_ready
        self._go = bundle.memory_read

    def __call__(self) -> None:
        self._ready.with_suffix(".part").write_text(str(self._own.worker_processes), encoding="ascii")
        self._ready.with_suffix(".part").replace(self._ready)
        limit = time.monotonic() + _HANDSHAKE_LIMIT_S
        while not self._go.exists() and time.monotonic() < limit:
            time.sleep(0.002)


def _meta(own: stream_writer.StreamWriter, gil_before: bool) -> MetaRecord:
    """The stream's first record."""
    return MetaRecord(
        format=FORMAT,
        role="main",
        pid=own.pid,
        ppid=os.getppid(),
        tid=threading.get_native_id(),
        start_ticks=stream_writer.read_start_ticks(),
        counter_source=own.source.name,
        clocks=clock.triple(),
        python={
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "build": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil_enabled": gil_before,
            "switch_interval_s": sys.getswitchinterval(),
            "start_method_default": _default_start_method(),
            "start_methods": " ".join(multiprocessing.get_all_start_methods()),
        },
    )


def _default_start_method() -> str:
    """multiprocessing's default start method, read without fixing it."""
    return multiprocessing.get_all_start_methods()[0]
