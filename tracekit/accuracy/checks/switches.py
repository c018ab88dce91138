"""Checks the context switches that the probe reads at the end of each thread against the kernel's sched_switch events.

Both counts are up to the moment of that reading: the kernel takes a process apart afterwards, and may be switched away
from meanwhile. Of a process that was killed the probe could read nothing: what the table says of it is the kernel's.

The switches to wait for the GIL are compared with all voluntary ones that a thread that waits for nothing else counted
by itself.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.thread_sums import list_threads, select_threads
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import KERNEL_SCHED, KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.tables import records

SHARE, PLUS = 0.01, 2


def compare_with_kernel(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for each thread whose switches were counted: voluntary, involuntary, and those for the GIL."""
    place, check = seen.place, "switches"
    if seen.kernel is None:
        return [place.mark_unavailable(check, "the kernel capture did not run")]
    if seen.kernel.lost:
        return [place.mark_unavailable(check, f"the kernel lost {seen.kernel.lost:,} events")]
    rows = [*_compare_kinds(seen, seen.kernel), *_compare_gil_waiters(seen)]
    return rows or [place.mark_unavailable(check, "no thread's switches were counted")]


def _compare_kinds(seen: WatchedRun, kernel: KernelReference) -> list[Comparison]:
    killed = {row["pid"] for row in records(seen.tables.processes) if row["ended"] == "signal"}
    ends = {(row["pid"], row["tid"]): (row["start_ns"], row["end_ns"]) for row in records(seen.tables.threads)}
    rows = []
    for index, metric in enumerate(("voluntary_switches", "involuntary_switches")):
        found = select_threads(seen.tables, metric, WAITS_PROBE)
        for thread in list_threads(seen):
            start_ns, end_ns = ends[thread.key]
            if end_ns is None or thread.key not in found or thread.key[0] in killed:
                continue
            if thread.key[1] in kernel.switches:
                wanted = float(kernel.count_switches(thread.key[1], start_ns or 0, end_ns)[index])
                rows.append(
                    seen.place.compare_values(
                        "switches",
                        f"{thread.label}, {metric.split('_')[0]}",
                        (float(found[thread.key]["value"]), wanted),
                        unit="count",
                        tolerance=SHARE * wanted + PLUS,
                        metric=metric,
                    )
                )
    return rows


def _compare_gil_waiters(seen: WatchedRun) -> list[Comparison]:
    """Of each thread that can only have waited for the GIL: all its voluntary switches were for it."""
    if not seen.known.gil:
        return []
    found = select_threads(seen.tables, "gil_waiter_switches", KERNEL_SCHED)
    waits = seen.tables.waits
    waits = waits[(waits["kind"] == "gil-switch") & (waits["method"] == KERNEL_UPROBE)]
    forced = waits.groupby(["pid", "tid"]).size().to_dict()
    rows = []
    for thread in seen.known.threads:
        key, wanted = (thread.pid, thread.tid), thread.life.get("voluntary_switches")
        if set(thread.sites) != {"gil"} or not thread.holds or wanted is None or key not in found:
            continue
        rows.append(
            seen.place.compare_values(
                "switches",
                f"{thread.name}, for the GIL",
                (float(found[key]["value"]), float(wanted)),
                unit="count",
                # It also sleeps to give the GIL up, where the metric counts only what the probe saw.
                tolerance=SHARE * wanted + PLUS + forced.get(key, 0),
                metric="gil_waiter_switches",
            )
        )
    return rows
