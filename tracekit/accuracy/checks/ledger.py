"""Checks that the ledger adds up: its unattributed part is a small share of the thread time.

With the kernel capture the ledger is made of scheduling events, without it of the probe's waits and the system's
accounting, so both are checked.

Some virtual machines' kernels record nothing in the context of the host's own agent: when it gives a CPU to one of our
threads, that switch is missing and nothing says so. The program's own CPU time tells: where the events have less of it,
a ledger made of them is `unclear`, and the run is made again. So is one whose rest is no more above the limit than what
the machine had stolen meanwhile: Linux counts stolen time per CPU, not per thread.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import MOST_UNATTRIBUTED, Comparison, judge_difference
from tracekit.accuracy.thread_sums import clip_durations
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.tables import records

MOST_MISSING = 0.01
"""The largest share of the thread time that may be CPU time which the kernel's events do not show."""


def compare_unattributed(seen: WatchedRun) -> list[Comparison]:
    """One comparison per run: the sum of each thread's |unattributed| over the threads' wall time."""
    place, check = seen.place, "unattributed"
    of_run, of_threads = _values(seen, "unattributed_ns", "run"), _values(seen, "unattributed_ns", "thread")
    whole = sum(_values(seen, "thread_wall_ns", "run")[:1])
    if not of_run or not whole:
        return [place.mark_unavailable(check, "the ledger of this run is not known")]
    # In the plain sum, a surplus of one thread would hide a lack of another.
    rest = max(abs(of_run[0]), sum(map(abs, of_threads)))
    share, missing = rest / whole, sum_unrecorded_cpu(seen) / whole
    holes = missing > MOST_MISSING
    stolen = (place.steal_ns or 0) / whole
    return [
        place.compare(
            check,
            f"all threads, {seen.capture}",
            judge_difference(share, MOST_UNATTRIBUTED, 1.0 if holes else stolen),
            unit="share",
            measured=share,
            reference=0.0,
            difference=share,
            tolerance=MOST_UNATTRIBUTED,
            reason=f"the kernel did not record {missing:.1%} in which threads computed" if holes else "",
        )
    ]


def sum_unrecorded_cpu(seen: WatchedRun) -> float:
    """Sum the CPU time, ns, by the program's own clocks in which the kernel's events do not show the thread running."""
    if seen.kernel is None:
        return 0.0
    running = seen.tables.sched[seen.tables.sched["state"] == "running"]
    unseen = 0.0
    for thread in seen.known.threads:
        if thread.cpu_ns is not None:
            of_thread = running[(running["pid"] == thread.pid) & (running["tid"] == thread.tid)]
            seen_ns = float(clip_durations(of_thread, (thread.start_ns, thread.end_ns)).sum())
            unseen += max(0.0, thread.cpu_ns - seen_ns)
    return unseen


def _values(seen: WatchedRun, metric: str, scope: str) -> list[float]:
    """The available values of a metric, the preferred method of each place first."""
    chosen = seen.tables.metrics
    chosen = chosen[(chosen["metric"] == metric) & (chosen["scope"] == scope)]
    return [float(row["value"]) for row in records(chosen) if row["quality"] != "unavailable"]
