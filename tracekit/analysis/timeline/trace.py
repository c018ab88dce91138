"""One trace file from the tables of one run, or from those of several runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.tables import COLUMNS, Tables
from tracekit.analysis.timeline.bars import bars_of
from tracekit.analysis.timeline.events import calls, integers, process_metadata, readings, thread_metadata, track
from tracekit.analysis.timeline.file import TraceFile
from tracekit.analysis.timeline.process_tracks import Cast, Person, cast_of, whole
from tracekit.analysis.timeline.scheduling import NOT_RECORDED, Scheduling, chunks, cpus, scheduling
from tracekit.analysis.timeline.states import state_tracks, written
from tracekit.analysis.timeline.text import visible
from tracekit.core.errors import NothingToDo

EVENT_LIMIT = 3_000_000
"""How many calls a trace may hold. A browser tab opens about 1 GB of JSON; three million calls are 0.4 GB."""

# Two readings are a total, which is the report's; from three on there is a curve to look at.
_CURVE = 3


_MOST_IN_SHORT = 40
"""Tracks above which an overview is none."""


class SuitePart(NamedTuple):
    """One run of a trace of several: `name` is what its processes are called (`threads · worker 1`)."""

    tables: Tables
    run_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class TraceFacts:
    """What was written."""

    calls: int
    """Python calls in the trace."""
    shortest_ns: int
    """0, or: shorter calls were left out because there were more than the limit."""
    processes: tuple[str, ...]
    """The titles of the process groups as the UI shows them (`worker 1 (spawn) 4711`), in reading order."""
    overview: tuple[str, ...]
    """The titles of the tracks that tell the run in short, in reading order: phases, each worker's tasks, CPUs, and
    what threads did with the GIL."""
    shortest_wait_ns: int = 0
    """0, or: shorter waits and holds were left out because there were more than the limit."""
    waits: int = 0
    """Bars of waits and GIL holds in the trace."""
    sched_ends_ns: int | None = None
    """From this moment of the run on the scheduling record is left out, because it was too long; None: it is whole."""


def build_run(tables: Tables, run_id: str, path: Path, *, limit: int = EVENT_LIMIT) -> TraceFacts:
    """Write the trace of one run. Raises NothingToDo where the tables do not hold it, OutputUnwritable."""
    mine = _only(tables, run_id)
    run = _run_row(mine)
    cast = cast_of(mine, run)
    found = scheduling(mine.sched, cast, _origin(mine, run))
    with TraceFile(path, _about(run)) as file:
        if found.lines:
            file.add_system(chunks(found))
        return _add(file, mine, run, cast, limit, recorded=found)


def build_suite(parts: Iterable[SuitePart], path: Path, *, limit: int = EVENT_LIMIT) -> TraceFacts:
    """Write the trace of several runs, each starting at t = 0. Raises NothingToDo, OutputUnwritable.

    Only one part is held at a time, so a generator that loads run after run keeps memory at one run's.
    `limit` holds per run; ids are renumbered, because two runs may have had the same. Who was on which CPU is left out:
    runs that lie over one another cannot share the CPUs' tracks.
    """
    total = TraceFacts(calls=0, shortest_ns=0, processes=(), overview=())
    next_id: int | None = None
    with TraceFile(path, {"tracekit": "all runs, each from its own start"}) as file:
        for part in parts:
            mine = _only(part.tables, part.run_id)
            run = _run_row(mine)
            cast = cast_of(mine, run, prefix=part.name, first_id=next_id or 1000)
            next_id = cast.next_id()
            facts = _add(file, mine, run, cast, limit, f"{part.name} · ")
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
    cast: Cast,
    limit: int,
    prefix: str = "",
    recorded: Scheduling = NOT_RECORDED,
) -> TraceFacts:
    origin = _origin(tables, run)
    file.add(process_metadata(person) for person in cast.processes.values())
    file.add(thread_metadata(person) for person in cast.threads.values())
    overview = []
    for (owner, name), bars in bars_of(tables, cast, origin).items():
        overview.append(visible(prefix + name))
        file.add(track(cast.processes[owner], overview[-1], bars))
    if recorded.lines:
        overview += [f"CPU {cpu} Scheduling" for cpu in cpus(tables.sched)]
    waits = 0
    tracks, shortest_wait = state_tracks(tables, cast, origin)
    for states in tracks:
        title = visible(prefix + states.title)
        # The others are found in the groups of their processes.
        if states.short and len(overview) < _MOST_IN_SHORT:
            overview.append(title)
        waits += len(states.bars)
        file.add(written(states, title))
    file.add(_curves(tables.counters, cast, origin))
    slices, shortest = _longest(_whole_slices(tables.slices, origin), limit)
    for (pid, tid), person in cast.threads.items():
        mine = slices[(slices["pid"] == pid) & (slices["tid"] == tid)]
        file.add(calls(mine, person, origin))
    return TraceFacts(
        calls=len(slices),
        shortest_ns=shortest,
        processes=tuple(f"{visible(person.label)} {person.shown_pid}" for person in cast.processes.values()),
        overview=tuple(overview),
        shortest_wait_ns=shortest_wait,
        waits=waits,
        sched_ends_ns=recorded.ends_ns,
    )


def _curves(counters: pd.DataFrame, cast: Cast, origin: int) -> Iterator[str]:
    found = counters[counters["value"].notna() & counters["ts_ns"].notna()]
    for key, frame in found.sort_values("ts_ns", kind="stable").groupby(
        ["pid", "tid", "counter", "unit"], sort=False, dropna=False
    ):
        assert isinstance(key, tuple)
        pid, tid, counter = whole(key[0]), whole(key[1]), str(key[2])
        unit = str(key[3]) if isinstance(key[3], str) else "value"
        owner = cast.main() if pid is None else cast.processes.get(pid)
        stamps = integers(frame["ts_ns"]) - origin
        inside = stamps >= 0
        if owner is None or inside.sum() < _CURVE:
            continue
        # The UI shows the unit behind the name, so `uss_bytes` would read `uss_bytes bytes`.
        name = counter.removesuffix(f"_{unit}").replace("_", " ") + _of_thread(cast, owner, tid)
        yield from readings(name, unit, owner, stamps[inside], frame["value"].to_numpy()[inside].tolist())


def _of_thread(cast: Cast, owner: Person, tid: int | None) -> str:
    person = None if tid is None else cast.threads.get((owner.pid, tid))
    return "" if person is None else f" · {person.label}"


def _only(tables: Tables, run_id: str) -> Tables:
    frames: dict[str, Any] = {name: tables.table(name) for name in COLUMNS}
    return replace(tables, **{name: frame[frame["run_id"] == run_id] for name, frame in frames.items()})


def _run_row(tables: Tables) -> dict[str, Any]:
    if tables.runs.empty:
        raise NothingToDo("the tables do not hold that run", "tracekit list suites")
    return {str(name): value for name, value in tables.runs.iloc[0].items()}


def _origin(tables: Tables, run: dict[str, Any]) -> int:
    """The start of the run; of a run that lost it, the earliest stamp there is."""
    start = whole(run["start_ns"])
    if start is not None:
        return start
    frames = (tables.spans, tables.slices, tables.threads, tables.waits)
    stamps = [frame["start_ns"].min() for frame in frames if len(frame) > 0]
    known = [whole(stamp) for stamp in stamps]
    return min((stamp for stamp in known if stamp is not None), default=0)


def _whole_slices(slices: pd.DataFrame, origin: int) -> pd.DataFrame:
    """The slices that miss nothing and did not end before the run began."""
    slices = slices.dropna(subset=["pid", "tid", "start_ns", "dur_ns"])
    return slices[slices["start_ns"] + slices["dur_ns"] >= origin]


def _longest(slices: pd.DataFrame, limit: int) -> tuple[pd.DataFrame, int]:
    """The slices, or of more than `limit` the longest, and the duration from which on they are there."""
    if len(slices) <= limit:
        return slices, 0
    durations = integers(slices["dur_ns"])
    longest = np.sort(np.argpartition(durations, len(durations) - limit)[len(durations) - limit :])
    return slices.iloc[longest], int(durations[longest].min())


def _about(run: dict[str, Any]) -> dict[str, str]:
    keys = ("suite_id", "run_id", "workload", "size", "parameters", "model", "workers", "capture", "python")
    return {key: str(run[key]) for key in keys if not pd.isna(run[key])}
