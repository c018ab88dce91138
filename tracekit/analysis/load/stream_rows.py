"""Adds the rows of one stream: spans, pickles, counters, and its process with its threads."""

from __future__ import annotations

from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import ProcessLifetime, ProcessLifetimes
from tracekit.analysis.load.streams import Stream
from tracekit.bundle.stream_schema import DIMENSIONS


def add_stream(columns: Columns, lifetimes: ProcessLifetimes, run_id: str, stream: Stream) -> None:
    """Add the spans, pickles and counters of one stream, and its process and threads to `lifetimes`."""
    place = {"run_id": run_id, "pid": stream.pid}
    if stream.pid is not None:
        _add_threads(_add_process(lifetimes, stream), stream)
    for span in stream.spans:
        columns.add(
            "spans",
            **place,
            tid=span.tid,
            name=span.name,
            item=span.item,
            start_ns=span.start_ns,
            dur_ns=span.dur_ns,
            cpu_ns=span.cpu_ns,
            voluntary_switches=span.voluntary_switches,
            involuntary_switches=span.involuntary_switches,
        )
    for pickled in stream.pickled:
        columns.add(
            "pickles",
            run_id=run_id,
            item=pickled.item,
            item_bytes=pickled.item_bytes,
            item_dumps_ns=pickled.item_dumps_ns,
            item_loads_ns=pickled.item_loads_ns,
            result_bytes=pickled.result_bytes,
            result_dumps_ns=pickled.result_dumps_ns,
            result_loads_ns=pickled.result_loads_ns,
            error=pickled.error,
        )
    for counter in stream.counters:
        columns.add(
            "counters",
            run_id=run_id,
            pid=counter.pid if stream.pid is None else stream.pid,
            tid=counter.tid,
            ts_ns=counter.ts_ns,
            counter=counter.counter,
            value=counter.value,
            unit=counter.unit,
            scope=counter.scope,
            source=counter.source or stream.meta.counter_source,
            at=counter.at,
        )

    for item in stream.observations:
        dimensions = {name: getattr(item, name) for name in DIMENSIONS}
        columns.add(
            "observations",
            run_id=run_id,
            what=item.what,
            value=item.value,
            unit=item.unit,
            text=item.text,
            **dimensions,
        )


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
