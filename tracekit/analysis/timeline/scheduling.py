"""Formats the table `sched` as text of the kernel's own trace, which the UI draws as CPU tracks and thread states.

The table has the run's threads only. What else ran on a CPU is not known: between them the text has the idle task,
which the UI draws as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.timeline.process_tracks import RunTracks

SCHED_LIMIT = 1_000_000
"""The most scheduling intervals in a trace, 150 bytes each; later ones are left out."""

HEADER = "# tracer: nop\n"
_IDLE = "swapper"
_LEFT_AS = {"runnable": "R", "sleeping": "S", "disk": "D"}
_ENDED = "X"
_UNSAFE = re.compile(r"[^\w.·()-]+")
_CHUNK = 20_000


class _Task(NamedTuple):
    """A thread with the name and the ids that it has in the text."""

    comm: str
    tid: int
    pid: int


class SchedText(NamedTuple):
    """The lines of text, and the time (ns from the start of the run) where they were cut off, None if complete."""

    lines: list[str]
    ends_ns: int | None


NOT_RECORDED = SchedText([], None)


def format_scheduling(sched: pd.DataFrame, tracks: RunTracks, origin: int, limit: int = SCHED_LIMIT) -> SchedText:
    """Format the intervals of one run as `sched_switch` and `sched_waking` lines in order of time."""
    rows = sched.dropna(subset=["pid", "tid", "start_ns", "dur_ns"]).sort_values("start_ns", kind="stable")
    cut = None
    if len(rows) > limit:
        cut = max(0, int(rows["start_ns"].iloc[limit]) - origin)
        rows = rows.iloc[:limit]
    if rows.empty:
        return NOT_RECORDED
    starts = rows["start_ns"].to_numpy(np.int64) - origin
    ends = starts + rows["dur_ns"].to_numpy(np.int64)
    table = pd.DataFrame(
        {
            "pid": rows["pid"].to_numpy(np.int64),
            "tid": rows["tid"].to_numpy(np.int64),
            "cpu": rows["cpu"].fillna(-1).to_numpy(np.int64),
            "state": rows["state"].astype("str").to_numpy(),
            "start": np.maximum(starts, 0),
            "end": ends,
        }
    )
    table = table[table["end"] > 0]
    following = table.groupby(["pid", "tid"], sort=False)["state"].shift(-1)
    table = table.assign(left_as=following.map(_LEFT_AS).fillna(_ENDED if cut is None else "R"))
    tasks = _tasks(table, tracks)
    lines = [*_switches(table[(table["state"] == "running") & (table["cpu"] >= 0)], tasks), *_wakings(table, tasks)]
    lines.sort(key=lambda item: item[:2])
    return SchedText([text for _, _, text in lines], cut)


def split_text(found: SchedText) -> Iterator[str]:
    """The whole text, in pieces for the file."""
    yield HEADER
    for at in range(0, len(found.lines), _CHUNK):
        yield "\n".join(found.lines[at : at + _CHUNK]) + "\n"


def list_cpus(sched: pd.DataFrame) -> tuple[int, ...]:
    """List the CPUs that the run's threads ran on."""
    return tuple(sorted(int(cpu) for cpu in sched["cpu"].dropna().unique().tolist()))


def _tasks(table: pd.DataFrame, tracks: RunTracks) -> dict[tuple[int, int], _Task]:
    """The threads of the table by pid and tid."""
    places = table[["pid", "tid"]].drop_duplicates().itertuples(index=False, name=None)
    return {
        (pid, tid): _Task(_UNSAFE.sub("_", track.label)[:60] or "thread", track.shown_tid, track.shown_pid)
        for pid, tid in places
        if (track := tracks.threads.get((pid, tid))) is not None
    }


def _switches(running: pd.DataFrame, tasks: Mapping[tuple[int, int], _Task]) -> Iterator[tuple[int, int, str]]:
    """(ns, order, line) of every switch, CPU by CPU."""
    for cpu, rows in running.groupby("cpu", sort=True):
        idle = _Task(f"{_IDLE}/{cpu}", 0, 0)
        current, left_as, until = idle, "R", 0
        columns = (rows[name].tolist() for name in ("pid", "tid", "start", "end", "left_as"))
        for pid, tid, start, end, state in zip(*columns, strict=True):
            task = tasks.get((pid, tid))
            if task is None:
                continue
            if current is not idle and until < start:
                yield until, 0, _switch(cpu, until, current, left_as, idle)
                current, left_as = idle, "R"
            # Intervals may overlap by a moment: time on a CPU must not go backward.
            begin = max(start, until)
            yield begin, 0, _switch(cpu, begin, current, left_as, task)
            current, left_as, until = task, state, max(end, begin)
        if current is not idle:
            yield until, 0, _switch(cpu, until, current, left_as, idle)


def _wakings(table: pd.DataFrame, tasks: Mapping[tuple[int, int], _Task]) -> Iterator[tuple[int, int, str]]:
    """(ns, order, line) of every wake-up: a thread becomes runnable and was not running just before."""
    before = table.groupby(["pid", "tid"], sort=False)["state"].shift(1)
    woken = table[(table["state"] == "runnable") & (before != "running")]
    columns = (woken[name].tolist() for name in ("pid", "tid", "start"))
    for pid, tid, at in zip(*columns, strict=True):
        task = tasks.get((pid, tid))
        if task is not None:
            what = f"sched_waking: comm={task.comm} pid={task.tid} prio=120 target_cpu=000"
            yield at, 1, f"{_IDLE}/0-0 (-----) [000] d... {_seconds(at)}: {what}"


def _switch(cpu: object, at: int, left: _Task, left_as: str, came: _Task) -> str:
    group = f"({left.pid})" if left.pid else "(-----)"
    return (
        f"{left.comm}-{left.tid} {group} [{cpu:03}] d... {_seconds(at)}: sched_switch: prev_comm={left.comm} "
        f"prev_pid={left.tid} prev_prio=120 prev_state={left_as} ==> next_comm={came.comm} next_pid={came.tid} "
        "next_prio=120"
    )


def _seconds(ns: int) -> str:
    """Format seconds with all nanoseconds: rounded to microseconds, switches would be out of order."""
    return f"{ns // 1_000_000_000}.{ns % 1_000_000_000:09d}"
