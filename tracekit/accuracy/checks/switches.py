"""Checks the context switches that the probe reads at the end of each thread against the kernel's sched_switch events.

Both counts are up to the moment of that reading: the kernel takes a process apart afterwards, and may be switched away
from meanwhile. Of a process that was killed the probe could read nothing: what the table says of it is the kernel's.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison, judge_difference
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.tables import records

SHARE, PLUS = 0.01, 2


def compare_with_kernel(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread whose switches were counted."""
    place, check = seen.place, "switches"
    if seen.kernel is None:
        return [place.mark_unavailable(check, "the kernel capture did not run")]
    if seen.kernel.lost:
        return [place.mark_unavailable(check, f"the kernel lost {seen.kernel.lost:,} events")]
    names = {thread.tid: thread.name for thread in seen.known.threads}
    killed = {row["pid"] for row in records(seen.tables.processes) if row["ended"] == "signal"}
    rows = []
    for thread in records(seen.tables.threads):
        read = (thread["end_ns"], thread["voluntary_switches"], thread["involuntary_switches"])
        if None in read or thread["pid"] in killed or thread["tid"] not in seen.kernel.switches:
            continue
        events = seen.kernel.count_switches(thread["tid"], thread["start_ns"] or 0, thread["end_ns"])
        wanted, found = sum(events), thread["voluntary_switches"] + thread["involuntary_switches"]
        tolerance = SHARE * wanted + PLUS
        rows.append(
            place.compare(
                check,
                names.get(thread["tid"]) or f"thread {thread['tid']} of {thread['pid']}",
                judge_difference(found - wanted, tolerance),
                unit="count",
                measured=float(found),
                reference=float(wanted),
                difference=float(found - wanted),
                tolerance=tolerance,
                reason=f"voluntary {thread['voluntary_switches']} and {events[0]}, "
                f"involuntary {thread['involuntary_switches']} and {events[1]}",
            )
        )
    return rows or [place.mark_unavailable(check, "no thread's switches were counted")]
