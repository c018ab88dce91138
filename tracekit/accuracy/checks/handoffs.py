"""Checks GIL handoffs, and waits for the next holder after a forced switch, against the kernel's uprobes."""

from __future__ import annotations

import numpy as np

from tracekit.accuracy.checks.gil import TRAP_NS
from tracekit.accuracy.comparison import Comparison, compute_wait_tolerance
from tracekit.accuracy.kernel_reference import explain_missing_reference
from tracekit.accuracy.thread_sums import (
    Key,
    list_threads,
    select_available,
    select_sched,
    select_threads,
    sum_queue_of_all,
    sum_waits,
)
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.load.kernel.pages import Array
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, find_family

LEAST_HANDOFFS = 20
"""With fewer handoffs the 95th percentile is the longest of them."""
COUNT_SHARE, MOST_HANDOFFS_OFF = 0.03, 3
"""A thread that asks while the other one is about to free the GIL may sleep for its mutex only."""
LATENCY_SHARE, LATENCY_NS = {50: 0.25, 95: 0.5}, {50: 10_000, 95: 20_000}
"""By percentile. The kernel's latency begins at the entry of drop_gil, before the code that frees the GIL, and ends
behind take_gil's return, with a trap at both: 1.4 µs more than the probe's in a storm of handoffs, 5 µs where the code
is cold. The longest are those in which the thread that drops the GIL sleeps on its mutex first, before the probe's
stamp."""


def compare_handoffs(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for a run: how many handoffs, and their latencies.

    By the kernel every take_gil in which a thread slept is one, since the GIL was another's; its latency is from the
    last drop by another thread to the return.
    """
    place, check = seen.place, "gil-handoffs"
    if not seen.known.gil:
        return []
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    (latencies, inside), found = _list_latencies(seen), _of_run(seen, "gil_handoffs")
    # Between the entry of drop_gil and the moment at which the GIL is free another thread may come to wait.
    wanted = float(min(max(found, inside), len(latencies)))
    if not found and not len(latencies):
        return [place.mark_unavailable(check, "no GIL was handed over")]
    tolerance = max(MOST_HANDOFFS_OFF, COUNT_SHARE * wanted)
    counts = found, wanted
    metric, reason = "gil_handoffs", f"{inside} to {len(latencies)} by the kernel"
    rows = [
        place.compare_values(check, "how many", counts, unit="count", tolerance=tolerance, metric=metric, reason=reason)
    ]
    if min(counts) >= LEAST_HANDOFFS:
        for metric, percent in (("gil_handoff_latency_ns", 50), ("gil_handoff_latency_p95_ns", 95)):
            values = _of_run(seen, metric), float(np.percentile(latencies, percent))
            rows.append(
                place.compare_values(
                    check,
                    f"latency, {percent} %",
                    values,
                    unit="ns",
                    tolerance=max(LATENCY_SHARE[percent] * values[1], LATENCY_NS[percent]),
                    # To be preempted between the probe's stamp and the kernel's makes the kernel's handoff longer.
                    error=float(seen.place.steal_ns or 0) + sum_queue_of_all(seen) / len(latencies),
                    metric=metric,
                )
            )
    return rows


def _list_latencies(seen: WatchedRun) -> tuple[Array, int]:
    """The latencies of the handoffs by the kernel, ns, and how many of their drops began inside the wait."""
    assert seen.kernel is not None
    waits = seen.tables.waits
    waits = waits[(waits["kind"] == "gil") & (waits["method"] == KERNEL_UPROBE)]
    found: list[Array] = [np.empty(0, dtype=np.int64)]
    inside = 0
    for tid in waits["tid"].unique().tolist():
        of_thread = waits[waits["tid"] == tid]
        starts = of_thread["start_ns"].to_numpy("int64")
        ends = starts + of_thread["dur_ns"].to_numpy("int64")
        slept = seen.kernel.find_first_block(tid, starts, ends) < ends
        drops = seen.kernel.find_last_drop(tid, ends)
        found.append((ends - drops)[slept & (drops >= 0)])
        inside += int((slept & (drops >= starts)).sum())
    return np.concatenate(found), inside


def _of_run(seen: WatchedRun, metric: str) -> float:
    rows = select_available(seen.tables, metric, "run")
    return next((float(row["value"]) for row in rows if find_family(row["method"]) == WAITS_PROBE), 0.0)


def compare_switch_waits(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread: whether the probe's interval contains the kernel's time in drop_gil."""
    place, check, metric = seen.place, "gil-switch", "gil_switch_wait_ns"
    if not seen.known.gil:
        return []
    if silent := explain_missing_reference(seen.kernel):
        return [place.mark_unavailable(check, silent)]
    wanted, found = (
        sum_waits(seen.tables, "gil-switch", KERNEL_UPROBE),
        select_threads(seen.tables, metric, WAITS_PROBE),
    )
    rows = []
    waits = seen.tables.waits
    waits = waits[(waits["kind"] == "gil-switch") & (waits["method"] == KERNEL_UPROBE)]
    counts = waits.groupby(["pid", "tid"]).size().to_dict()
    for thread in list_threads(seen):
        if thread.key in found:
            reference = wanted.get(thread.key, 0.0)
            tolerance = compute_wait_tolerance(reference) + TRAP_NS * counts.get(thread.key, 0)
            row = found[thread.key]
            more = _sum_preempted_behind(seen, thread.key)
            rows.append(
                place.compare_interval(
                    check, thread.label, row, reference, tolerance=tolerance, more=more, metric=metric
                )
            )
    return rows or [place.mark_unavailable(check, "the probe gives no interval for these threads")]


def _sum_preempted_behind(seen: WatchedRun, key: Key) -> float:
    """For how long, ns, the thread was preempted right behind its sleeps in drop_gil: it is still in libc's wait."""
    assert seen.kernel is not None
    waits = seen.tables.waits
    waits = waits[(waits["kind"] == "gil-switch") & (waits["method"] == KERNEL_UPROBE)]
    slept = waits[(waits["pid"] == key[0]) & (waits["tid"] == key[1])]
    ready = select_sched(seen.tables, "runnable", key)
    ends = (slept["start_ns"] + slept["dur_ns"]).to_numpy("int64")
    behind = seen.kernel.lie_in_call(key[1], ready["start_ns"].to_numpy("int64"), ends, seen.kernel.dropped)
    return float(ready["dur_ns"].to_numpy("int64")[behind].sum())
