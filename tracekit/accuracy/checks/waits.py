"""Checks the waits of each thread against what the program knows of them.

A program's own clock around a call, or the time it asked to sleep, is right but for what the machine had stolen in
between and for the time that the thread, awake, had to wait for a CPU: a difference beyond the tolerance by less than
that is `inconclusive`, and is measured again. What is compared is the metric, which is about the thread's whole life,
less the waits outside the window that the program knows of.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison, compute_wait_tolerance
from tracekit.accuracy.known_answers import KnownThread
from tracekit.accuracy.thread_sums import estimate_error, select_threads, sum_waits
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import WAITS_PROBE

KINDS_OF = {
    "lock_wait_ns": ("lock",),
    "io_wait_ns": ("io-read", "io-write"),
    "poll_wait_ns": ("poll",),
    "sleep_ns": ("sleep",),
    "child_wait_ns": ("child-wait",),
}
"""Metric -> the kinds of waits that it is the sum of."""


def compare_with_known(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread and metric of which the program knows a kind; GIL waits have their own checks."""
    rows = []
    for metric, kinds in KINDS_OF.items():
        found = select_threads(seen.tables, metric, WAITS_PROBE)
        for thread in seen.known.threads:
            known = [kind for kind in kinds if kind in thread.waits]
            if known:
                key = (thread.pid, thread.tid)
                wanted = float(sum(thread.waits[kind] for kind in known))
                inside = float(found[key]["value"]) - _sum_outside(seen, thread, kinds) if key in found else 0.0
                rows.append(
                    seen.place.compare_values(
                        "waits-known",
                        f"{thread.name}, {' and '.join(known)}",
                        (inside, wanted),
                        unit="ns",
                        tolerance=compute_wait_tolerance(wanted),
                        error=estimate_error(seen, key),
                        metric=metric,
                    )
                )
    return rows


def _sum_outside(seen: WatchedRun, thread: KnownThread, kinds: tuple[str, ...]) -> float:
    """The thread's waits of these kinds outside its window, ns."""
    key, window = (thread.pid, thread.tid), (thread.start_ns, thread.end_ns)
    return sum(
        sum_waits(seen.tables, kind, WAITS_PROBE).get(key, 0.0)
        - sum_waits(seen.tables, kind, WAITS_PROBE, window=window).get(key, 0.0)
        for kind in kinds
    )
