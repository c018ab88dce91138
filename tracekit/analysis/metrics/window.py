"""A window of a recorded program's time: its tables as if only that had been recorded.

Intervals (waits, holds, the kernel's scheduling record) need no cutting here: metrics cut them to the lifetimes of
threads, and those to the run's window, which is set here. What was counted over a whole life is cut so:

    CPU time of a thread   kept where all its life lies inside; else a bound. It used at least what the time outside
                           cannot hold, and at most what the time inside can; between the two it is likely to have
                           used as large a part of the time inside as of its life. While it sleeps in the kernel's
                           record, or waits in that of the probe, it uses no CPU time, but for 20 µs a wait; a read or
                           a write may.
    of a process           kept where all its life lies inside; else the sum of its threads
    all other counts       kept of threads whose life lies inside; else not known, and so is what the machine counted
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import is_program
from tracekit.analysis.metrics.interval_timeline import (
    Intervals,
    IntervalTimeline,
    Ints,
    make_disjoint,
    measure_overlap,
    to_ints,
)
from tracekit.analysis.metrics.ledger.waits_by_kind import INSIDE_NS, READS_AND_WRITES
from tracekit.analysis.metrics.lifetimes import KEYS, LIKELY
from tracekit.analysis.metrics.rows import NOT_RECORDED
from tracekit.analysis.tables import Tables, empty, records
from tracekit.core.errors import UsageError
from tracekit.core.units import format_ns

WINDOW, ASKED, RECORDED_NS = "window", "window_asked", "recorded_ns"
"""Keys of `Tables.suite`, where there is a window: `8s..12s`; as it was asked for, `load begins..12s`; and how long the
whole run took."""
RAN_ON = "ran on"
"""Column `ended` of a process that ended after the window, and key of `Tables.suite` where the program's did."""

_TIME = re.compile(r"(?P<count>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>ns|us|µs|ms|s|min|)")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "": 10**9, "min": 60 * 10**9}
_HINT = "tracekit report SUITE --window 8s..12s"
_LONGEST_NS = 2**62
_STARTS = ["spawn_requested_ns", "exec_ns", "interpreter_ready_ns"]
_COUNTS = ["run_queue_wait_ns", "voluntary_switches", "involuntary_switches"]

_AT_ENDS = "a thread's count is read at its end, not at the window's: capture kernel records every switch"
_OF_MACHINE = "what the machine counted is read before and after the program, not at the window's ends"
_UNCUT = {
    **dict.fromkeys(("voluntary_switches", "involuntary_switches", "run_queue_wait_ns", "timeslices"), _AT_ENDS),
    **dict.fromkeys(("voluntary_switches_per_s", "involuntary_switches_per_s"), _AT_ENDS),
    **dict.fromkeys(("steal_ns", "steal_share", "thread_steal_ns"), _OF_MACHINE),
    "cpu_ns": "a thread's CPU clock is read at its end, and one of them was not read",
}
"""Metrics that have no number in a window where the whole run may have one, and why."""


def cut_to_window(tables: Tables, text: str) -> Tables:
    """The tables of a recorded program in a window like `8s..12s`, counted from the program's start; either end may be
    left out, or be the name of a mark: its first one for the beginning, its last one for the end.

    The runs' column `parameters` names the window, and with it every row of metrics. Raises UsageError.
    """
    runs = records(tables.runs)
    if not runs or not all(is_program(run) for run in runs):
        raise UsageError("a window is for recorded programs: a suite compares whole runs", "tracekit list suites")
    run = runs[0]
    if run["start_ns"] is None or run["wall_ns"] is None:
        raise UsageError(f"{run['workload']} was not recorded to its end: it has no window", "tracekit report SUITE")
    start, wall = int(run["start_ns"]), int(run["wall_ns"])
    first, last = _find_ends(text, start, wall, tables.marks)
    label = f"{_format_exactly(first)}..{_format_exactly(last)}"
    named = tables.runs.assign(parameters=f"window={label}").astype(tables.runs.dtypes)
    suite = {**tables.suite, WINDOW: label, ASKED: " ".join(text.split()), RECORDED_NS: wall}
    if (first, last) == (0, wall):
        return replace(tables, suite=suite, runs=named)
    return _cut(replace(tables, suite=suite, runs=named), start + first, start + last)


def explain_uncut(metrics: pd.DataFrame) -> pd.DataFrame:
    """The metrics of a window, with the reason why it has no number where the whole run may have one."""
    reasons = metrics["metric"].map(_UNCUT).astype("str")
    lost = (metrics["quality"] == "unavailable") & reasons.notna()
    lost &= (metrics["metric"] != "cpu_ns") | (metrics["reason"] == NOT_RECORDED.reason)
    return metrics.assign(reason=metrics["reason"].where(~lost, reasons))


def _find_ends(text: str, start: int, wall: int, marks: pd.DataFrame) -> tuple[int, int]:
    """The window's ends, ns from the run's start."""
    before, dots, after = (part.strip() for part in text.partition(".."))
    if not dots or not (before or after):
        raise UsageError(f"the window {text!r} is not FROM..TO, like 8s..12s, 500ms.. or ..12s", _HINT)
    first = _find_end(before, start, marks, last=False) if before else 0
    last = _find_end(after, start, marks, last=True) if after else wall
    if first >= last and not (before and not after):
        raise UsageError(f"the window {text!r} ends where it begins, or before", _HINT)
    if first >= wall or last <= 0:
        raise UsageError(f"the window {text!r} lies outside the run, which took {format_ns(wall)}", _HINT)
    return max(0, first), min(last, wall)


def _find_end(text: str, start: int, marks: pd.DataFrame, *, last: bool) -> int:
    if match := _TIME.fullmatch(text):
        return min(round(float(match["count"]) * _UNITS[match["unit"]]), _LONGEST_NS)
    stamps = marks.loc[marks["name"] == text, "ts_ns"].dropna()
    if len(stamps):
        return int(stamps.max() if last else stamps.min()) - start
    known = list(dict.fromkeys(marks["name"].dropna()))
    there = f"its marks are {', '.join(map(repr, known[:5]))}" if known else "it has none"
    raise UsageError(f"{text!r} is no time, like 8s or 500ms, and no mark of the program: {there}", _HINT)


def _format_exactly(ns: int) -> str:
    """`8s`, `12.5s`, `0.0005s`: all digits there are."""
    return f"{ns // 10**9}.{ns % 10**9:09}".rstrip("0").rstrip(".") + "s"


def _cut(tables: Tables, opens: int, closes: int) -> Tables:
    runs = tables.runs
    old = (int(runs["start_ns"].iloc[0]), int(runs["start_ns"].iloc[0] + runs["wall_ns"].iloc[0]))
    suite = dict(tables.suite)
    runs = runs.assign(start_ns=opens, wall_ns=closes - opens).astype(runs.dtypes)
    if closes < old[1]:
        runs = runs.assign(exit_code=runs["exit_code"].mask(runs["exit_code"].notna()))
        suite[RAN_ON] = True
    runs = runs.assign(asked_ns=runs["asked_ns"].where(runs["asked_ns"].between(opens, closes)))
    lived: dict[str, Any] = {
        name: _overlap(tables.table(name), opens, closes) for name in ("waits", "sched", "spans", "slices")
    }
    holds = tables.holds
    held = (holds["end_ns"] > opens).fillna(False) & ((holds["start_ns"] < closes) | holds["start_ns"].isna())
    sampled = tables.samples["ts_ns"].between(opens, closes - 1).fillna(False)
    # Who ended a wait: where it began is where it begins in the window, and its end lies inside.
    woken = tables.wakeups[(tables.wakeups["woken_ns"].between(opens, closes)).fillna(False)]
    lived["wakeups"] = woken.assign(start_ns=woken["start_ns"].clip(lower=opens)).reset_index(drop=True)
    stacks = tables.wait_stacks
    return replace(
        tables,
        suite=suite,
        wait_stacks=stacks[(stacks["at_ns"] <= closes).fillna(False)].reset_index(drop=True),
        runs=runs,
        processes=_cut_processes(tables.processes, opens, closes),
        threads=_cut_threads(tables, old, opens, closes),
        holds=holds[held].reset_index(drop=True),
        samples=tables.samples[sampled].reset_index(drop=True),
        counters=empty("counters"),
        marks=tables.marks[tables.marks["ts_ns"].between(opens, closes)].reset_index(drop=True),
        **lived,
    )


def _overlap(frame: pd.DataFrame, opens: int, closes: int) -> pd.DataFrame:
    """The rows that reach into the window, as they are."""
    inside = (frame["start_ns"] < closes) & (frame["start_ns"] + frame["dur_ns"] > opens)
    return frame[inside.fillna(False)].reset_index(drop=True)


def _cut_processes(processes: pd.DataFrame, opens: int, closes: int) -> pd.DataFrame:
    """The processes that lived in the window; one that lived on has no end."""
    begun = processes[_STARTS].min(axis=1)
    there = ~((begun >= closes).fillna(False) | (processes["exit_ns"] <= opens).fillna(False))
    inside = (begun >= opens).fillna(False) & (processes["exit_ns"] <= closes).fillna(False)
    on = (processes["exit_ns"] > closes).fillna(False)
    cut: dict[str, Any] = {name: processes[name].clip(lower=opens) for name in _STARTS}
    cut["exit_ns"] = processes["exit_ns"].clip(upper=closes)
    cut["exit_code"] = processes["exit_code"].mask(on)
    cut["ended"] = processes["ended"].mask(on, RAN_ON)
    cut["cpu_ns"] = processes["cpu_ns"].where(inside)
    cut["before_cpu_ns"] = processes["before_cpu_ns"].mask((begun < opens).fillna(True))
    return processes.assign(**cut).astype(processes.dtypes)[there].reset_index(drop=True)


def _cut_threads(tables: Tables, old: tuple[int, int], opens: int, closes: int) -> pd.DataFrame:
    """The threads that lived in the window; of one that lived beyond it, bounds of its CPU time.

    Such a bound is kept as that of a thread that was killed: at least `cpu_ns`, and at most all time since
    `cpu_read_ns` more; LIKELY is what it was if it was as often on a CPU as in its whole life.
    """
    threads = tables.threads
    born = to_ints(threads["start_ns"].fillna(old[0]).clip(*old))
    died = np.maximum(born, to_ints(threads["end_ns"].fillna(old[1]).clip(*old)))
    line = IntervalTimeline(threads, KEYS, born, died)
    low, high = np.clip(born, opens, closes), np.clip(died, opens, closes)
    shift = line.edges[:-1] - born
    inside = Intervals(low + shift, high + shift, np.arange(len(threads)))
    inside = inside.select(inside.ends > inside.starts)
    off_inside, off_outside = _measure_off_cpu(tables, line, inside)
    used = threads["cpu_ns"].fillna(0).to_numpy(np.int64)
    unread = (died - threads["cpu_read_ns"]).clip(lower=0).fillna(0).to_numpy(np.int64)
    within = high - low
    least = np.maximum(0, used - (line.lengths - within - off_outside))
    most = np.maximum(least, np.minimum(used + unread, within - off_inside))
    # As if it had been on a CPU as often whenever it may have been.
    part = (within - off_inside) / np.maximum(line.lengths - off_inside - off_outside, 1)
    likely = np.clip(np.floor(used * part).astype(np.int64), least, most)
    beyond = (born < opens) | (died > closes)
    known = threads["cpu_ns"].notna().to_numpy(bool)
    cut = threads.assign(
        cpu_ns=threads["cpu_ns"].mask(beyond & known, pd.Series(least, index=threads.index)),
        cpu_read_ns=threads["cpu_read_ns"].mask(beyond & known, pd.Series(high - (most - least), index=threads.index)),
        **{LIKELY: threads["cpu_ns"].mask(beyond & known, pd.Series(likely, index=threads.index))},
        **{name: threads[name].mask(beyond) for name in _COUNTS},
    )
    return cut.astype({**threads.dtypes, LIKELY: "Int64"})[high > low].reset_index(drop=True)


def _measure_off_cpu(tables: Tables, line: IntervalTimeline, inside: Intervals) -> tuple[Ints, Ints]:
    """Per thread: ns in which it certainly was on no CPU, in the window and outside it."""
    sched = tables.sched[tables.sched["start_ns"].notna() & tables.sched["dur_ns"].notna()].reset_index(drop=True)
    recorded = make_disjoint(line.lay_rows(sched))
    asleep = recorded.select(sched["state"].isin(("sleeping", "disk")).to_numpy(bool)[recorded.rows])
    waits = tables.waits[tables.waits["start_ns"].notna() & tables.waits["dur_ns"].notna()].reset_index(drop=True)
    waits = waits[~waits["kind"].isin(READS_AND_WRITES)].reset_index(drop=True)
    waiting = make_disjoint(line.lay_rows(waits))
    scheduled = line.count_by_lane(recorded.starts) > 0
    slept, waited = (measure_overlap(part.starts, part.ends, inside) for part in (asleep, waiting))

    def choose(slept: Ints, waited: Ints) -> Ints:
        off = line.sum_by_lane(waiting.starts, np.maximum(waited - INSIDE_NS, 0))
        return np.where(scheduled, line.sum_by_lane(asleep.starts, slept), off)

    return choose(slept, waited), choose(asleep.lengths - slept, waiting.lengths - waited)
