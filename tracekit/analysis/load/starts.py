"""Joins the stamps that parent, worker and stage probe have of one worker's start into one row of `starts`.

The parent's `start` record names the worker. A worker process has its stamps in its own stream, a thread in the
parent's. The stage probe identifies processes by pid. Under forkserver the server is the new image: its stages belong
to the first start, which waited for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.streams import Stream
from tracekit.bundle import stages_file
from tracekit.bundle.files import is_there, read_file
from tracekit.bundle.stream_schema import StartRecord

_OF_IMAGE = {
    "image_ns": stages_file.IMAGE,
    "interpreter_ns": stages_file.INTERPRETER,
    "site_ns": stages_file.SITE,
}

Records = np.ndarray[Any, Any]


def read_stages(path: Path) -> Records:
    """Read the stage probe's file: one array of its whole records, in the order of their stamps; empty without a file.

    Fields: kind, monotonic_ns, pid, ppid (layout: bundle/stages_file.py). A record that a full disk cut short is left
    out. Raises BundleCorrupt.
    """
    data = read_file(path) if is_there(path) else b""
    layout = np.dtype(stages_file.RECORD)
    found = np.frombuffer(data, dtype=layout, count=len(data) // layout.itemsize)
    known = (found["kind"] >= stages_file.IMAGE) & (found["kind"] <= stages_file.EXEC)
    kept = found[known & (found["magic"] == stages_file.MAGIC) & (found["pid"] > 0)]
    ordered: Records = kept[np.argsort(kept["monotonic_ns"], kind="stable")]
    return ordered


def add_starts(columns: Columns, run_id: str, streams: Sequence[Stream], stages: Records, window: Window) -> None:
    """Add one row per start that the main process recorded."""
    main = next((stream for stream in streams if stream.meta.role == "main"), None)
    if main is None:
        return
    inside = window.holds(stages["monotonic_ns"].astype(np.uint64), stages["monotonic_ns"].astype(np.uint64))
    stages = stages[inside & (stages["monotonic_ns"] > 0)]
    by_pid = {stream.pid: stream for stream in streams if stream.meta.role == "worker"}
    for start in main.starts:
        worker = by_pid.get(start.pid)
        own = _of_thread(start, main) if worker is None else _of_process(start, worker, stages)
        columns.add(
            "starts",
            run_id=run_id,
            worker=start.worker,
            pid=start.pid,
            tid=start.tid,
            requested_ns=start.requested_ns,
            returned_ns=start.returned_ns,
            result_ns=start.result_ns,
            joined_ns=start.joined_ns,
            **own,
        )


def _of_thread(start: StartRecord, main: Stream) -> dict[str, int | None]:
    thread = next((thread for thread in main.threads if thread.worker == start.worker), None)
    # The kernel may give a thread id to a later worker, too: the item identifies the worker's own task.
    tasks = [
        span.start_ns
        for span in main.spans
        if span.name == "task" and span.tid == start.tid and start.item in (None, span.item)
    ]
    return {
        "first_instruction_ns": None if thread is None else thread.start_ns,
        "first_task_ns": min(tasks, default=None),
    }


def _of_process(start: StartRecord, worker: Stream, stages: Records) -> dict[str, int | None]:
    meta = worker.meta
    begun, imported = meta.main_begun_ns, meta.main_imported_ns
    if begun is not None and start.requested_ns is not None and begun < start.requested_ns:
        # The fork server imported it before this worker was requested.
        begun = imported = None
    return {
        **_probed(start, stages),
        "main_begun_ns": begun,
        "main_imported_ns": imported,
        "unpickled_ns": meta.unpickled_ns,
        "first_instruction_ns": meta.interpreter_ready_ns,
        "recording_ns": worker.stamps.get("recording"),
        "done_ns": worker.stamps.get("done"),
        "recorded_ns": None if worker.end is None else worker.end.exit_ns,
        "first_task_ns": min((span.start_ns for span in worker.spans if span.name == "task"), default=None),
    }


def _probed(start: StartRecord, stages: Records) -> dict[str, int | None]:
    """The stage probe's stamps of the process between request and join; outside of it, the pid may be another's."""
    if start.requested_ns is None:
        return {}
    until = 2**62 if start.joined_ns is None else start.joined_ns
    during = stages[(stages["monotonic_ns"] >= start.requested_ns) & (stages["monotonic_ns"] <= until)]
    own = during[during["pid"] == start.pid]
    forks = own[own["kind"] == stages_file.FORKED]
    new = own
    if len(forks) and not (own["kind"] == stages_file.IMAGE).any():
        # Forked from the parent or from a server. If the server was started for this worker, its image counts, too.
        new = during[during["pid"] == forks["ppid"][0]]
    images = new["monotonic_ns"][new["kind"] == stages_file.IMAGE]
    if not len(images):
        new = new[:0]
    exits = own["monotonic_ns"][own["kind"] == stages_file.EXIT]
    return {
        "forked_ns": int(forks["monotonic_ns"][0]) if len(forks) else None,
        # Of several exec requests, all but the last one failed.
        "exec_ns": _last(new[new["monotonic_ns"] <= images[:1]], stages_file.EXEC) if len(images) else None,
        **{name: _first(new, kind) for name, kind in _OF_IMAGE.items()},
        "exit_ns": int(exits[-1]) if len(exits) else None,
    }


def _first(records: Records, kind: int) -> int | None:
    stamps = records["monotonic_ns"][records["kind"] == kind]
    return int(stamps[0]) if len(stamps) else None


def _last(records: Records, kind: int) -> int | None:
    stamps = records["monotonic_ns"][records["kind"] == kind]
    return int(stamps[-1]) if len(stamps) else None
