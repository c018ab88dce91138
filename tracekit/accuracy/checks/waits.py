"""Checks the waits of each thread against what the program knows of them.

A program's own clock around a call, or the time it asked to sleep, is right but for what the machine had stolen in
between and for the time that the thread, awake, had to wait for a CPU: a difference beyond the tolerance by less than
that is `inconclusive`, and is measured again.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison, compute_wait_tolerance, judge_difference
from tracekit.accuracy.thread_sums import estimate_error, sum_waits
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import WAITS_PROBE


def compare_with_known(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread and known kind of wait; GIL waits have their own checks."""
    rows = []
    for thread in seen.known.threads:
        window = (thread.start_ns, thread.end_ns)
        for kind, wanted in thread.waits.items():
            if kind == "gil":
                continue
            found = sum_waits(seen.tables, kind, WAITS_PROBE, window=window).get((thread.pid, thread.tid), 0.0)
            tolerance = compute_wait_tolerance(wanted)
            rows.append(
                seen.place.compare(
                    "waits-known",
                    f"{thread.name}, {kind}",
                    judge_difference(found - wanted, tolerance, estimate_error(seen, (thread.pid, thread.tid))),
                    unit="ns",
                    measured=found,
                    reference=float(wanted),
                    difference=found - wanted,
                    tolerance=tolerance,
                )
            )
    return rows
