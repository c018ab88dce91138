"""Adds the rows of one stream: spans, pickles, counters, and its process with its threads."""

from __future__ import annotations

from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import ProcessLifetime, ProcessLifetimes
from tracekit.analysis.load.parse import read_keys
from tracekit.analysis.load.streams import Stream


def add_stream(columns: Columns, lifetimes: ProcessLifetimes, run_id: str, stream: Stream) -> None:
    """Add the spans, pickles and counters of one stream, and its process and threads to `lifetimes`."""
    place = {"run_id": run_id, "pid": stream.pid}
    if stream.pid is not None:
        _add_threads(_add_process(lifetimes, stream), stream)
    for span in stream.spans:
        columns.add("spans", **place, **read_keys(span))
    for pickled in stream.pickled:
        columns.add("pickles", run_id=run_id, **read_keys(pickled))
    for counter in stream.counters:
        keys = read_keys(counter)
        if stream.pid is not None:
            keys["pid"] = stream.pid
        keys["source"] = keys["source"] or stream.meta.counter_source
        columns.add("counters", run_id=run_id, **keys)
    for item in stream.observations:
        columns.add("observations", run_id=run_id, **read_keys(item))


def _add_process(lifetimes: ProcessLifetimes, stream: Stream) -> ProcessLifetime:
    meta, end = stream.meta, stream.end
    tasks = [span for span in stream.spans if span.name == "task"]
    return lifetimes.add(
        pid=stream.pid,
        ppid=meta.ppid,
        start_ticks=meta.start_ticks,
        role=meta.role,
        worker=meta.worker,
        spawn_requested_ns=meta.spawn_requested_ns,
        interpreter_ready_ns=meta.interpreter_ready_ns,
        first_task_ns=min((span.start_ns for span in tasks), default=None),
        last_task_ns=max((span.start_ns + span.dur_ns for span in tasks), default=None),
        exit_ns=None if end is None else end.exit_ns,
        exit_code=None if end is None else end.exit_code,
    )


def _add_threads(process: ProcessLifetime, stream: Stream) -> None:
    """Add the threads of a process. A worker's main thread has no record of its own: `meta` describes it."""
    meta = stream.meta
    for thread in stream.threads:
        process.threads.append(
            {
                "tid": thread.tid,
                "interpreter_id": thread.interpreter_id,
                "name": thread.name,
                "role": thread.role,
                "worker": thread.worker,
                "spawn_requested_ns": thread.spawn_requested_ns,
                "start_ns": thread.start_ns,
                "end_ns": thread.end_ns,
                "cpu_ns": thread.cpu_ns,
            }
        )
    if meta.tid is not None and all(thread.tid != meta.tid for thread in stream.threads):
        process.threads.append(
            {
                "tid": meta.tid,
                "name": "MainThread",
                "role": meta.role,
                "worker": meta.worker,
                "spawn_requested_ns": meta.spawn_requested_ns,
                "start_ns": meta.interpreter_ready_ns,
                "end_ns": None if stream.end is None else stream.end.exit_ns,
            }
        )
