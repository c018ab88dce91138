"""The bars of a run: tasks, phases and the time each worker took to start, sorted into tracks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tracekit.analysis.tables import Tables
from tracekit.analysis.timeline.events import Bar
from tracekit.analysis.timeline.process_tracks import Cast, rows_of, whole

Tracks = dict[tuple[int, str], list[Bar]]
"""Bars by process id and name of the track."""

TASKS, PHASES = "tasks", "phases"


def bars_of(tables: Tables, cast: Cast, origin: int) -> Tracks:
    """Every bar of the run, the tracks in reading order: phases, then tasks by worker.

    A worker's track begins with its start, so that start, work and gaps read as one line.
    """
    tracks: Tracks = {}
    for pid, name, bar in (*_starts(tables, cast), *_spans(tables.spans, cast)):
        start, end = max(bar.start - origin, 0), bar.end - origin
        if end > 0:
            tracks.setdefault((pid, name), []).append(bar._replace(start=start, end=end))
    places = {pid: place for place, pid in enumerate(cast.processes)}
    return dict(sorted(tracks.items(), key=lambda item: (places[item[0][0]], _natural(item[0][1]))))


def _starts(tables: Tables, cast: Cast) -> Iterator[tuple[int, str, Bar]]:
    processes = rows_of(tables.processes, "pid", "spawn_requested_ns", "interpreter_ready_ns")
    for pid, asked, ready in processes:
        person = cast.processes[int(pid)]
        if person.worker is not None:
            yield from _start(int(pid), _numbered(TASKS, person.worker), person.worker, asked, ready)
    for pid, tid, asked, began in rows_of(tables.threads, "pid", "tid", "spawn_requested_ns", "start_ns"):
        person = cast.threads[int(pid), int(tid)]
        if person.worker is not None and cast.processes[int(pid)].worker is None:
            yield from _start(int(pid), _task_track(cast, int(pid), int(tid)), person.worker, asked, began)


def _start(pid: int, track: str, worker: int, asked: Any, ready: Any) -> Iterator[tuple[int, str, Bar]]:
    begin, end = whole(asked), whole(ready)
    if begin is not None and end is not None and end >= begin:
        yield pid, track, Bar(begin, end, f"starting worker {worker + 1}", "start", {})


def _spans(spans: pd.DataFrame, cast: Cast) -> Iterator[tuple[int, str, Bar]]:
    extras = ("cpu_ns", "voluntary_switches", "involuntary_switches")
    for pid, tid, name, item, start, dur, *used in rows_of(
        spans, "pid", "tid", "name", "item", "start_ns", "dur_ns", *extras
    ):
        begin, length, number = whole(start), whole(dur), whole(item)
        if begin is None or length is None or pd.isna(pid) or pd.isna(tid):
            continue
        known = {key: whole(value) for key, value in zip(extras, used, strict=True)}
        args = {key: value for key, value in known.items() if value is not None}
        if name == "task":
            track = _task_track(cast, int(pid), int(tid))
            title = "task" if number is None else f"task {number}"
            yield int(pid), track, Bar(begin, begin + length, title, "task", args)
        else:
            track = _numbered(PHASES, cast.processes[int(pid)].worker)
            yield int(pid), track, Bar(begin, begin + length, str(name), "phase", args)


def _task_track(cast: Cast, pid: int, tid: int) -> str:
    """`tasks · worker 2`, whether a process or a thread of a pool is that worker; `tasks` where there is none."""
    process, thread = cast.processes[pid].worker, cast.threads.get((pid, tid))
    return _numbered(TASKS, thread.worker if process is None and thread is not None else process)


def _numbered(track: str, worker: int | None) -> str:
    return track if worker is None else f"{track} · worker {worker + 1}"


def _natural(name: str) -> tuple[str, int]:
    """A key that sorts worker 10 behind worker 9."""
    kind, _, worker = name.partition(" · worker ")
    return kind, int(worker or 0)
