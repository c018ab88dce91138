"""Makes the bars of a run by track: tasks, phases, and the start of each worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tracekit.analysis.tables import Tables
from tracekit.analysis.timeline.events import Bar
from tracekit.analysis.timeline.process_tracks import RunTracks, iterate_rows, to_int

BarsByTrack = dict[tuple[int, str], list[Bar]]
"""Bars by pid and track name."""

TASKS, PHASES = "tasks", "phases"


def make_bars(tables: Tables, tracks: RunTracks, origin: int) -> BarsByTrack:
    """Make every bar of the run, the tracks in reading order: phases, then tasks by worker.

    `origin` is the start of the run, CLOCK_MONOTONIC ns. A worker's track begins with its start, so that start, work
    and gaps are on one line.
    """
    bars: BarsByTrack = {}
    for pid, name, bar in (*_starts(tables, tracks), *_spans(tables.spans, tracks)):
        start, end = max(bar.start - origin, 0), bar.end - origin
        if end > 0:
            bars.setdefault((pid, name), []).append(bar._replace(start=start, end=end))
    places = {pid: place for place, pid in enumerate(tracks.processes)}
    return dict(sorted(bars.items(), key=lambda item: (places[item[0][0]], _natural(item[0][1]))))


def _starts(tables: Tables, tracks: RunTracks) -> Iterator[tuple[int, str, Bar]]:
    processes = iterate_rows(tables.processes, "pid", "spawn_requested_ns", "interpreter_ready_ns")
    for pid, asked, ready in processes:
        track = tracks.processes[int(pid)]
        if track.worker is not None:
            yield from _start(int(pid), _numbered(TASKS, track.worker), track.worker, asked, ready)
    for pid, tid, asked, began in iterate_rows(tables.threads, "pid", "tid", "spawn_requested_ns", "start_ns"):
        track = tracks.threads[int(pid), int(tid)]
        if track.worker is not None and tracks.processes[int(pid)].worker is None:
            yield from _start(int(pid), _task_track(tracks, int(pid), int(tid)), track.worker, asked, began)


def _start(pid: int, track: str, worker: int, asked: Any, ready: Any) -> Iterator[tuple[int, str, Bar]]:
    begin, end = to_int(asked), to_int(ready)
    if begin is not None and end is not None and end >= begin:
        yield pid, track, Bar(begin, end, f"starting worker {worker + 1}", "start", {})


def _spans(spans: pd.DataFrame, tracks: RunTracks) -> Iterator[tuple[int, str, Bar]]:
    extras = ("cpu_ns", "voluntary_switches", "involuntary_switches")
    for pid, tid, name, item, start, dur, *used in iterate_rows(
        spans, "pid", "tid", "name", "item", "start_ns", "dur_ns", *extras
    ):
        begin, length, number = to_int(start), to_int(dur), to_int(item)
        if begin is None or length is None or pd.isna(pid) or pd.isna(tid):
            continue
        known = {key: to_int(value) for key, value in zip(extras, used, strict=True)}
        args = {key: value for key, value in known.items() if value is not None}
        if name == "task":
            track = _task_track(tracks, int(pid), int(tid))
            title = "task" if number is None else f"task {number}"
            yield int(pid), track, Bar(begin, begin + length, title, "task", args)
        else:
            track = _numbered(PHASES, tracks.processes[int(pid)].worker)
            yield int(pid), track, Bar(begin, begin + length, str(name), "phase", args)


def _task_track(tracks: RunTracks, pid: int, tid: int) -> str:
    """`tasks · worker 2`, whether the worker is a process or a thread of a pool; `tasks` without a worker."""
    process, thread = tracks.processes[pid].worker, tracks.threads.get((pid, tid))
    return _numbered(TASKS, thread.worker if process is None and thread is not None else process)


def _numbered(track: str, worker: int | None) -> str:
    return track if worker is None else f"{track} · worker {worker + 1}"


def _natural(name: str) -> tuple[str, int]:
    """A sort key that puts worker 10 after worker 9."""
    kind, _, worker = name.partition(" · worker ")
    return kind, int(worker or 0)
