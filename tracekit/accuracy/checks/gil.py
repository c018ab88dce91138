"""Checks the GIL wait per thread: wait probe, accounting and py-spy against the kernel's uprobes and known answers.

The reference is the kernel's: in each interval between the uprobes at the entry and the return of take_gil, the time
from the thread's first voluntary switch, where it blocks, to the return. Before that switch it may have been preempted,
which is a wait for a CPU; `reason` says how much of that there was.

On a busy machine a wait lasts until the thread has a CPU again, which may be one that the hypervisor has given away: a
difference beyond the tolerance by no more than the thread's wait for a CPU and the steal is `unclear`, and is measured
again.

The return of a function is seen through a trap that takes about a microsecond, so that much is allowed per wait as
well: nothing beside 60 waits a second, some per cent of the shortest ones in a storm of them. Holds are compared in the
same way. The kernel's last from the return of take_gil to the entry of drop_gil, and the traps at both lie inside the
thread's true hold: 0.5 to 1 µs of each. Preempted between that entry and the moment at which it frees the GIL, the
thread still holds it, and preempted between that of the take and the return it holds it already.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tracekit.accuracy.comparison import MS, POINTS, SHARE, Comparison, compute_wait_tolerance, judge_difference
from tracekit.accuracy.kernel_reference import explain_missing_reference
from tracekit.accuracy.known_answers import KnownThread
from tracekit.accuracy.thread_sums import (
    Key,
    estimate_error,
    list_threads,
    select_sched,
    select_threads,
    sum_run_queue_wait,
    sum_waits,
)
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.load.kernel.thread_events import NO_END
from tracekit.analysis.metrics.methods import ACCOUNTING, KERNEL_UPROBE, PYSPY_NATIVE, WAITS_PROBE
from tracekit.analysis.tables import records

TRAP_NS = 1_000
"""The time that the uprobe at a function's return may add to a call."""
LEAST_SAMPLES = 20
"""With fewer samples no share is compared: its interval would be half of the whole range."""


MOST_COUNTS_OFF = 2
"""Or 3 %: a hold that lasts as long as the switch interval is longer by one clock and shorter by the other."""

_HOLD_METRICS = {"gil_hold_ns": "", "gil_hold_longest_ns": ", longest", "gil_holds_over_interval": ", too long"}
_NONE: Array = np.empty(0, dtype=np.int64)
_NOTHING: dict[str, Any] = {"value": 0.0, "n": 0}


class KernelWait(NamedTuple):
    """One thread's time in the calls of take_gil in which it blocked, ns: blocked, ready before that; and how many."""

    blocked: float = 0.0
    ready: float = 0.0
    waits: int = 0


def compare_with_kernel(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread, of the wait probe with the kernel."""
    place, check = seen.place, "gil-kernel"
    if not seen.known.gil:
        return _no_gil(seen)
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    references, probe = sum_kernel_waits(seen), select_threads(seen.tables, "gil_wait_ns", WAITS_PROBE)
    rows = []
    for thread in list_threads(seen):
        kernel = references.get(thread.key, KernelWait())
        wanted, found = kernel.blocked, float(probe.get(thread.key, _NOTHING)["value"])
        reason = f"{kernel.ready / MS:.2f} ms ready on the way in" if kernel.ready > MS else ""
        rows.append(
            place.compare_values(
                check,
                thread.label,
                (found, wanted),
                unit="ns",
                tolerance=compute_wait_tolerance(wanted) + TRAP_NS * kernel.waits,
                # Nothing says whether a thread that was ready in take_gil waited for a CPU or already for the GIL.
                error=estimate_error(seen, thread.key) + kernel.ready,
                metric="gil_wait_ns",
                reason=reason,
            )
        )
    return rows


def sum_kernel_waits(seen: WatchedRun) -> dict[Key, KernelWait]:
    """Sum each thread's GIL waits from the kernel's events."""
    assert seen.kernel is not None
    waits = seen.tables.waits
    waits = waits[(waits["kind"] == "gil") & (waits["method"] == KERNEL_UPROBE)]
    found: dict[Key, KernelWait] = {}
    for row in records(waits[["pid", "tid"]].drop_duplicates()):
        of_thread = waits[(waits["pid"] == row["pid"]) & (waits["tid"] == row["tid"])]
        starts = of_thread["start_ns"].to_numpy("int64")
        ends = starts + of_thread["dur_ns"].to_numpy("int64")
        blocks = seen.kernel.find_first_block(row["tid"], starts, ends)
        found[row["pid"], row["tid"]] = KernelWait(
            blocked=float((ends - blocks).sum()),
            ready=float((blocks - starts)[blocks < ends].sum()),
            waits=int((blocks < ends).sum()),
        )
    return found


def compare_holds(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for each thread that held the GIL while another waited: the sum of its holds, the longest of them,
    and how many exceeded the switch interval.
    """
    place, check = seen.place, "gil-holds"
    if not seen.known.gil:
        return []
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    rows, beside = [], _list_ready_beside_holds(seen)
    for metric, suffix in _HOLD_METRICS.items():
        wanted_of, probe = (select_threads(seen.tables, metric, method) for method in (KERNEL_UPROBE, WAITS_PROBE))
        for thread in list_threads(seen):
            wanted, found = (float(of.get(thread.key, _NOTHING)["value"]) for of in (wanted_of, probe))
            if not wanted and not found:
                continue
            ready, holds = beside.get(thread.key, _NONE), int(wanted_of.get(thread.key, _NOTHING)["n"])
            tolerance, error = compute_wait_tolerance(wanted), estimate_error(seen, thread.key)
            if metric == "gil_hold_ns":
                more, tolerance = float(ready.sum()), tolerance + 2 * TRAP_NS * holds
            elif metric == "gil_hold_longest_ns":
                more, tolerance = float(ready.max(initial=0)), tolerance + 2 * TRAP_NS
            else:
                more, tolerance, error = float((ready > MS).sum()), max(MOST_COUNTS_OFF, SHARE * wanted), 0.0
            difference = found - min(max(found, wanted), wanted + more)
            rows.append(
                place.compare(
                    check,
                    thread.label + suffix,
                    judge_difference(difference, tolerance, error),
                    metric=metric,
                    unit="count" if metric == "gil_holds_over_interval" else "ns",
                    measured=found,
                    reference=wanted,
                    difference=difference,
                    tolerance=tolerance,
                    reason=f"{holds} holds, {ready.sum() / MS:.2f} ms ready beside them",
                )
            )
    return rows or [place.mark_unavailable(check, "no thread held the GIL while another waited")]


def _list_ready_beside_holds(seen: WatchedRun) -> dict[Key, Array]:
    """Per thread the lengths, ns, of the intervals in which it was ready in the take_gil before one of its holds by the
    kernel, if it never slept there, or in the drop_gil after it before it first slept.
    """
    kernel = seen.kernel
    assert kernel is not None
    holds = seen.tables.holds[(seen.tables.holds["method"] == KERNEL_UPROBE) & seen.tables.holds["start_ns"].notna()]
    found: dict[Key, Array] = {}
    for row in records(holds[["pid", "tid"]].drop_duplicates()):
        pid, tid = row["pid"], row["tid"]
        of_thread = holds[(holds["pid"] == pid) & (holds["tid"] == tid)]
        ready = select_sched(seen.tables, "runnable", (pid, tid))
        starts = ready["start_ns"].to_numpy("int64")
        lengths = ready["dur_ns"].to_numpy("int64")
        after = kernel.lie_in_call(tid, starts, of_thread["end_ns"].to_numpy("int64"), kernel.dropped)
        entered = kernel.takes[0][kernel.takes[1] == tid]
        voluntary = kernel.switches.get(tid, (_NONE, _NONE))[0]
        held, slept = (
            np.append(moments, NO_END)[np.searchsorted(moments, starts)]
            for moments in (np.sort(of_thread["start_ns"].to_numpy("int64")), voluntary)
        )
        before = kernel.lie_in_call(tid, starts, entered, kernel.taken) & (held < slept)
        found[pid, tid] = lengths[after | before]
    return found


def compare_with_known(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread that knows its GIL wait or a lower bound of it."""
    rows = []
    for thread in seen.known.threads:
        if "gil" in thread.waits:
            rows.append(_known_row(seen, thread, thread.waits["gil"], least=False))
        elif "gil" in thread.at_least and seen.known.gil:
            rows.append(_known_row(seen, thread, thread.at_least["gil"], least=True))
    return rows


def compare_accounting(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread: whether the accounting's interval contains the kernel's value within its tolerance."""
    place, check = seen.place, "gil-schedstat"
    if not seen.known.gil:
        return []
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    intervals = select_threads(seen.tables, "gil_wait_ns", ACCOUNTING)
    references = sum_kernel_waits(seen)
    rows = []
    for thread in list_threads(seen):
        interval, wanted = intervals.get(thread.key), references.get(thread.key, KernelWait()).blocked
        if interval is None:
            continue
        tolerance = compute_wait_tolerance(wanted)
        rows.append(place.compare_interval(check, thread.label, interval, wanted, tolerance=tolerance))
    return rows or [place.mark_unavailable(check, "the accounting gives no interval for these threads")]


def compare_pyspy(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread of the program, under py-spy and the kernel capture: shares of the thread's lifetime.

    A stack does not distinguish a wait in take_gil from one in drop_gil, so the reference is their sum. The main thread
    waits in Thread.start and join for locks and then for the GIL, which no stack distinguishes: it is left out. A share
    of 100 samples is known to 10 points only: a difference beyond the tolerance that the share's interval explains is
    inconclusive. A thread with hardly any sample, for example where py-spy could not read its stack, has no share.
    """
    place, check = seen.place, "gil-py-spy"
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    sampled = select_threads(seen.tables, "gil_wait_ns", PYSPY_NATIVE)
    taking = sum_waits(seen.tables, "gil", KERNEL_UPROBE)
    dropping = sum_waits(seen.tables, "gil-switch", KERNEL_UPROBE)
    known = {(thread.pid, thread.tid) for thread in seen.known.threads}
    rows = []
    for thread in list_threads(seen):
        estimate = sampled.get(thread.key)
        if estimate is None or estimate["n"] < LEAST_SAMPLES or thread.life_ns <= 0 or thread.key not in known:
            continue
        lower, found, upper = (float(estimate[name]) / thread.life_ns for name in ("lower", "value", "upper"))
        wanted = (taking.get(thread.key, 0.0) + dropping.get(thread.key, 0.0)) / thread.life_ns
        rows.append(
            place.compare(
                check,
                thread.label,
                judge_difference(
                    found - wanted, POINTS, sum_run_queue_wait(seen, thread.key) / thread.life_ns + (upper - lower) / 2
                ),
                unit="share",
                measured=found,
                lower=lower,
                upper=upper,
                reference=wanted,
                difference=found - wanted,
                tolerance=POINTS,
            )
        )
    return rows or [place.mark_unavailable(check, "py-spy's samples give no share for these threads")]


def _no_gil(seen: WatchedRun) -> list[Comparison]:
    """Without a GIL the only correct GIL wait is 0."""
    found = sum(sum_waits(seen.tables, "gil", WAITS_PROBE).values())
    return [
        seen.place.compare(
            "gil-kernel",
            "all threads, no GIL",
            judge_difference(found, 0.0),
            unit="ns",
            measured=found,
            reference=0.0,
            difference=found,
            tolerance=0.0,
        )
    ]


def _known_row(seen: WatchedRun, thread: KnownThread, wanted: float, *, least: bool) -> Comparison:
    window = (thread.start_ns, thread.end_ns)
    found = sum_waits(seen.tables, "gil", WAITS_PROBE, window=window).get((thread.pid, thread.tid), 0.0)
    difference = min(0.0, found - wanted) if least else found - wanted
    tolerance = compute_wait_tolerance(wanted)
    return seen.place.compare(
        "gil-known",
        f"{thread.name}, {'at least' if least else 'in all'}",
        judge_difference(difference, tolerance, estimate_error(seen, (thread.pid, thread.tid))),
        unit="ns",
        measured=found,
        reference=wanted,
        difference=difference,
        tolerance=tolerance,
    )
