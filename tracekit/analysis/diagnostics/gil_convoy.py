"""A GIL convoy: a thread that hardly computes waits for the GIL each time that it comes back from a wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence, Place
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.gil_parts import split_parts
from tracekit.analysis.metrics.interval_timeline import Ints, to_ints
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns

COMPUTES = 0.25
"""A thread that used more CPU time than this part of its GIL wait computes: it takes turns with the holders."""
HAND_OUT = ("_handle_workers)", "_handle_tasks)", "_handle_results)", "QueueFeederThread", "ExecutorManagerThread")
"""Ends of the names of threads that pools and executors of processes run beside the program's own."""
SMALL_PIECES = "give out bigger pieces: `chunksize=`, or items that take longer, and less data with each"
"""What to try where such threads have the GIL."""
_LEAST_WAITS = 10
_COMES_BACK = 0.5
"""Part of its GIL waits that have to begin where another wait has just ended."""
_JUST_NS = 200_000
_MOSTLY = 0.5
"""Part of its GIL wait in which one other thread has to have the GIL."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per process, about the thread that waited longest."""
    told: set[int] = set()
    for pid, tid, ns in find_waiters(evidence):
        # Those that follow waited less.
        if ns < evidence.least_ns:
            return
        back = () if pid in told else _find_returns(evidence, pid, tid)
        if len(back) < _LEAST_WAITS or evidence.on_cpu_ns(pid, tid)[1] > COMPUTES * sum(back):
            continue
        holder = _find_holder(split_parts(evidence).others, pid, tid)
        if holder is not None:
            told.add(pid)
            yield _describe(evidence, (pid, tid), holder, np.array(back))


def find_waiters(evidence: Evidence) -> list[tuple[int, int, int]]:
    """pid and tid of the threads that waited for holds that were not long, and how long, the longest wait first."""
    sums = split_parts(evidence).others.groupby(["pid", "waiter"])["ns"].sum().reset_index()
    rows = records(sums.sort_values("ns", ascending=False))
    return [(row["pid"], row["waiter"], row["ns"]) for row in rows]


def _describe(evidence: Evidence, waiter: Place, holder: dict[str, Any], back: Ints) -> Finding:
    """`back`: how long it waited for the GIL when it came back from another wait."""
    pid = waiter[0]
    where = evidence.site(holder["function"], holder["file"], ", mostly")
    used = evidence.on_cpu_ns(*waiter)
    most = "at most " if used[0] < used[1] else ""
    sentence = (
        f"{len(back):,} times {evidence.thread(*waiter)} came back from a wait and then waited for the GIL, "
        f"{format_ns(float(back.mean()))} on average, to use {most}{format_ns(used[1])} of CPU time in all. For "
        f"{format_ns(holder['ns'])} {evidence.thread(pid, holder['holder'])} held it{where}, and gave it up when it "
        "was asked to."
    )
    advice = (
        f"move what {evidence.thread(pid, holder['holder'])} computes into a process "
        "(`concurrent.futures.ProcessPoolExecutor`); `sys.setswitchinterval` only makes each of these waits shorter"
    )
    if evidence.thread(pid, holder["holder"]).endswith(HAND_OUT):
        advice = SMALL_PIECES
    return Finding(diagnostic="gil-convoy", sentence=sentence, advice=advice, weight_ns=holder["ns"])


def _find_returns(evidence: Evidence, pid: int, tid: int) -> tuple[int, ...]:
    """The lengths of the thread's GIL waits that began where another wait had just ended; none if these are few of
    them."""
    own = evidence.waits_of(pid, tid)
    of_gil = own[(own["kind"] == "gil").to_numpy(bool)]
    if len(of_gil) < _LEAST_WAITS:
        return ()
    ends = np.sort(own["end_ns"][(~own["kind"].isin(("gil", "gil-switch"))).to_numpy(bool)].to_numpy(np.int64))
    starts = to_ints(of_gil["start_ns"])
    before = np.append(ends, 0)[np.searchsorted(ends, starts, side="right") - 1]
    back = to_ints(of_gil["dur_ns"])[(starts - before >= 0) & (starts - before < _JUST_NS)]
    return tuple(back.tolist()) if len(back) >= _COMES_BACK * len(starts) else ()


def _find_holder(parts: pd.DataFrame, pid: int, tid: int) -> dict[str, Any] | None:
    """The thread that had the GIL most of the time that this one waited, how long, and the function in which it had it
    longest."""
    parts = parts[((parts["pid"] == pid) & (parts["waiter"] == tid)).to_numpy(bool)]
    by_holder = parts.groupby("holder")["ns"].sum().sort_values(ascending=False)
    if by_holder.iloc[0] < _MOSTLY * int(parts["ns"].sum()):
        return None
    own = parts[(parts["holder"] == by_holder.index[0]).to_numpy(bool)]
    sites = own.groupby(["holder", "function", "file"], dropna=False)["ns"].sum().reset_index()
    (longest,) = records(sites.nlargest(1, "ns"))
    return {**longest, "ns": int(by_holder.iloc[0])}


DIAGNOSTIC = Diagnostic(
    name="gil-convoy",
    looks_for="A thread that hardly computed waited for the GIL when it came back from other waits, at "
    f"least {_LEAST_WAITS} times, and one other thread had it most of that time, giving it up when it was asked to.",
    silent="A waiter that used CPU time itself takes turns (gil-turns); holds that do not end when they are asked to "
    "are long ones (long-gil-holds).",
    look=look,
)
