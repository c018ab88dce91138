"""Writes the trace file of one run, or of several runs side by side, from their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.tables import COLUMNS, Tables
from tracekit.analysis.timeline.bars import make_bars
from tracekit.analysis.timeline.events import (
    integers,
    process_metadata,
    thread_metadata,
    write_calls,
    write_counter,
    write_mark,
    write_track,
)
from tracekit.analysis.timeline.file import TraceFile
from tracekit.analysis.timeline.process_tracks import RunTracks, Track, iterate_rows, make_run_tracks, to_int
from tracekit.analysis.timeline.scheduling import NOT_RECORDED, SchedText, format_scheduling, list_cpus, split_text
from tracekit.analysis.timeline.states import make_state_tracks, write_state_track
from tracekit.analysis.timeline.text import replace_control
from tracekit.core.errors import NothingToDo

EVENT_LIMIT = 3_000_000
"""The most calls in a trace. A browser tab opens about 1 GB of JSON; three million calls are 0.4 GB."""

# Two readings make a total, which the report shows; a curve needs at least three.
_CURVE = 3

_MOST_IN_SHORT = 40
"""The most tracks in the overview."""


class SuitePart(NamedTuple):
    """One run of a trace of several; `name` is the prefix of its tracks (`threads` gives `threads · worker 1`)."""

    tables: Tables
    run_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class TraceFacts:
    """What a trace contains."""

    calls: int
    """Python calls in the trace."""
    shortest_ns: int
    """Calls shorter than this were left out because of the limit; 0: all are there."""
    processes: tuple[str, ...]
    """The titles of the process groups as the UI shows them (`worker 1 (spawn) 4711`), in reading order."""
    overview: tuple[str, ...]
    """The titles of the overview's tracks in reading order: phases, each worker's tasks, CPUs, and the GIL."""
    shortest_wait_ns: int = 0
    """Waits and holds shorter than this were left out because of the limit; 0: all are there."""
    waits: int = 0
    """Bars of waits and GIL holds in the trace."""
    sched_ends_ns: int | None = None
    """ns from the start of the run after which scheduling is left out because of the limit; None: it is complete."""


def build_run(tables: Tables, run_id: str, path: Path, *, limit: int = EVENT_LIMIT) -> TraceFacts:
    """Write the trace of one run. Raises NothingToDo when the tables do not have the run, OutputUnwritable."""
    mine = _only(tables, run_id)
    run = _run_row(mine)
    tracks = make_run_tracks(mine, run)
    found = format_scheduling(mine.sched, tracks, _origin(mine, run))
    with TraceFile(path, _about(run)) as file:
        if found.lines:
            file.add_system(split_text(found))
        return _add(file, mine, run, tracks, limit, recorded=found)


def build_suite(parts: Iterable[SuitePart], path: Path, *, limit: int = EVENT_LIMIT) -> TraceFacts:
    """Write the trace of several runs, each starting at t = 0. Raises NothingToDo, OutputUnwritable.

    One part at a time is in memory, so `parts` may be a generator that loads run after run. `limit` applies to each
    run. Ids are renumbered, because two runs may have used the same ones. The CPUs' tracks are left out, because runs
    that are drawn over one another cannot share them.
    """
    total = TraceFacts(calls=0, shortest_ns=0, processes=(), overview=())
    next_id: int | None = None
    with TraceFile(path, {"tracekit": "all runs, each from its own start"}) as file:
        for part in parts:
            mine = _only(part.tables, part.run_id)
            run = _run_row(mine)
            tracks = make_run_tracks(mine, run, prefix=part.name, first_id=next_id or 1000)
            next_id = tracks.find_next_id()
            facts = _add(file, mine, run, tracks, limit, f"{part.name} · ")
            total = replace(
                total,
                calls=total.calls + facts.calls,
                shortest_ns=max(total.shortest_ns, facts.shortest_ns),
                shortest_wait_ns=max(total.shortest_wait_ns, facts.shortest_wait_ns),
                waits=total.waits + facts.waits,
                processes=total.processes + facts.processes,
                overview=total.overview + facts.overview,
            )
    return total


def _add(
    file: TraceFile,
    tables: Tables,
    run: dict[str, Any],
    tracks: RunTracks,
    limit: int,
    prefix: str = "",
    recorded: SchedText = NOT_RECORDED,
) -> TraceFacts:
    origin = _origin(tables, run)
    file.add(process_metadata(track) for track in tracks.processes.values())
    file.add(thread_metadata(track) for track in tracks.threads.values())
    overview = []
    for (owner, name), bars in make_bars(tables, tracks, origin).items():
        overview.append(replace_control(prefix + name))
        file.add(write_track(tracks.processes[owner], overview[-1], bars))
    if recorded.lines:
        overview += [f"CPU {cpu} Scheduling" for cpu in list_cpus(tables.sched)]
    waits = 0
    state_tracks, shortest_wait = make_state_tracks(tables, tracks, origin)
    for states in state_tracks:
        title = replace_control(prefix + states.title)
        # All others are in the groups of their processes.
        if states.short and len(overview) < _MOST_IN_SHORT:
            overview.append(title)
        waits += len(states.bars)
        file.add(write_state_track(states, title))
    file.add(_curves(tables.counters, tracks, origin))
    file.add(_marks(tables.marks, tracks, origin))
    slices, shortest = _longest(_whole_slices(tables.slices, origin), limit)
    for (pid, tid), track in tracks.threads.items():
        mine = slices[(slices["pid"] == pid) & (slices["tid"] == tid)]
        file.add(write_calls(mine, track, origin))
    return TraceFacts(
        calls=len(slices),
        shortest_ns=shortest,
        processes=tuple(f"{replace_control(track.label)} {track.shown_pid}" for track in tracks.processes.values()),
        overview=tuple(overview),
        shortest_wait_ns=shortest_wait,
        waits=waits,
        sched_ends_ns=recorded.ends_ns,
    )


def _marks(marks: pd.DataFrame, tracks: RunTracks, origin: int) -> Iterator[str]:
    """On the track of the thread that set it; of one that has none, on that of its process, or of the main one."""
    for pid, tid, stamp, name in iterate_rows(marks, "pid", "tid", "ts_ns", "name"):
        thread = tracks.threads.get((int(pid), int(tid)))
        owner = thread or tracks.processes.get(int(pid)) or tracks.main()
        if owner is not None and stamp >= origin:
            yield write_mark(str(name), int(stamp) - origin, owner, whole=thread is None)


def _curves(counters: pd.DataFrame, tracks: RunTracks, origin: int) -> Iterator[str]:
    found = counters[counters["value"].notna() & counters["ts_ns"].notna()]
    for key, frame in found.sort_values("ts_ns", kind="stable").groupby(
        ["pid", "tid", "counter", "unit"], sort=False, dropna=False
    ):
        assert isinstance(key, tuple)
        pid, tid, counter = to_int(key[0]), to_int(key[1]), str(key[2])
        unit = str(key[3]) if isinstance(key[3], str) else "value"
        owner = tracks.main() if pid is None else tracks.processes.get(pid)
        stamps = integers(frame["ts_ns"]) - origin
        inside = stamps >= 0
        if owner is None or inside.sum() < _CURVE:
            continue
        # The UI adds the unit to the name: `uss_bytes` would become `uss_bytes bytes`.
        name = counter.removesuffix(f"_{unit}").replace("_", " ") + _of_thread(tracks, owner, tid)
        yield from write_counter(name, unit, owner, stamps[inside], frame["value"].to_numpy()[inside].tolist())


def _of_thread(tracks: RunTracks, owner: Track, tid: int | None) -> str:
    track = None if tid is None else tracks.threads.get((owner.pid, tid))
    return "" if track is None else f" · {track.label}"


def _only(tables: Tables, run_id: str) -> Tables:
    frames: dict[str, Any] = {name: tables.table(name) for name in COLUMNS}
    return replace(tables, **{name: frame[frame["run_id"] == run_id] for name, frame in frames.items()})


def _run_row(tables: Tables) -> dict[str, Any]:
    if tables.runs.empty:
        raise NothingToDo("the tables do not have that run", "tracekit list suites")
    return {str(name): value for name, value in tables.runs.iloc[0].items()}


def _origin(tables: Tables, run: dict[str, Any]) -> int:
    """The start of the run, CLOCK_MONOTONIC ns; where it is not known, the earliest stamp of the tables."""
    start = to_int(run["start_ns"])
    if start is not None:
        return start
    frames = (tables.spans, tables.slices, tables.threads, tables.waits)
    stamps = [frame["start_ns"].min() for frame in frames if len(frame) > 0]
    known = [to_int(stamp) for stamp in stamps]
    return min((stamp for stamp in known if stamp is not None), default=0)


def _whole_slices(slices: pd.DataFrame, origin: int) -> pd.DataFrame:
    """The slices without missing values that end after the start of the run."""
    slices = slices.dropna(subset=["pid", "tid", "start_ns", "dur_ns"])
    return slices[slices["start_ns"] + slices["dur_ns"] >= origin]


def _longest(slices: pd.DataFrame, limit: int) -> tuple[pd.DataFrame, int]:
    """The slices, or the `limit` longest of them, and the duration, ns, from which on they are kept."""
    if len(slices) <= limit:
        return slices, 0
    durations = integers(slices["dur_ns"])
    longest = np.sort(np.argpartition(durations, len(durations) - limit)[len(durations) - limit :])
    return slices.iloc[longest], int(durations[longest].min())


def _about(run: dict[str, Any]) -> dict[str, str]:
    keys = ("suite_id", "run_id", "workload", "size", "parameters", "model", "workers", "capture", "python")
    return {key: str(run[key]) for key in keys if not pd.isna(run[key])}
