"""Checks what the scheduler did with each thread against what the thread itself read of it at its end.

A thread's own readings, of its CPU clock and of the kernel's count of its wait for a CPU, are of its whole life: only
threads that end with their window are compared.
"""

from __future__ import annotations

from typing import Any

from tracekit.accuracy.checks.ledger import sum_unrecorded_cpu
from tracekit.accuracy.comparison import Comparison, compute_wait_tolerance
from tracekit.accuracy.known_answers import KnownThread
from tracekit.accuracy.thread_sums import clip_durations, find_life, select_available, select_sched, sum_missing
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import KERNEL_SCHED, find_family

MOST_MIGRATIONS_OFF = 2
"""Before a thread first chooses its CPU the scheduler may move it."""
TRACEPOINT_NS = 1_000
"""By the kernel's events each wait for a CPU, and each time on it, ends behind the tracepoint of the switch."""
LATEST_NS = 2**62


def compare_with_known(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for each thread that read its own clocks, and one for the steal of all of them."""
    rows = []
    for thread in seen.known.threads:
        life = find_life(seen, thread)
        # A main thread also begins and ends the process: there no clock of its own tells of missing events.
        if life is not None and thread.tid != thread.pid:
            rows += _compare_thread(seen, thread, life)
    return [*rows, *_compare_steal(seen)]


def _compare_thread(seen: WatchedRun, thread: KnownThread, life: tuple[int, int]) -> list[Comparison]:
    key, (start_ns, end_ns) = (thread.pid, thread.tid), life
    wanted = {"thread_on_cpu_ns": thread.life.get("cpu_ns"), "run_queue_wait_ns": thread.life.get("run_queue_wait_ns")}
    if set(thread.sites) == {"gil"} and thread.waits.get("gil") == 0:
        # It waited for nothing but a CPU.
        wanted["thread_run_queue_ns"] = wanted["run_queue_wait_ns"]
    # The kernel's events count time on a CPU that the hypervisor had; the thread's own clock does not.
    error = float(seen.place.steal_ns or 0) + sum_missing(seen, key) + sum_unrecorded_cpu(seen)
    if seen.kernel is None:
        error += end_ns - thread.end_ns
    runnable, running = (select_sched(seen.tables, state, key) for state in ("runnable", "running"))
    # A thread waits for a CPU before its first instruction, where its ledger begins, and after its own reading.
    early = float(clip_durations(runnable, (0, start_ns)).sum())
    computed = float(clip_durations(running, (thread.end_ns, LATEST_NS)).sum())
    read_ns = thread.life.get("read_ns", thread.end_ns)
    late = float(clip_durations(runnable, (read_ns, LATEST_NS)).sum())
    error += float(clip_durations(runnable, (thread.end_ns, read_ns)).sum())
    asleep = float(select_sched(seen.tables, "sleeping", key)["dur_ns"].sum())
    rows = []
    for metric, ns in wanted.items():
        for row in [] if ns is None else _select(seen, metric, thread):
            queued = metric != "thread_on_cpu_ns"
            found = float(row["value"]) - (late if queued else computed)
            by_events = find_family(row["method"]) == KERNEL_SCHED
            if by_events and metric == "thread_run_queue_ns":
                found += early
            pieces = len(runnable if queued else running) if by_events else 0
            # Linux 6.18 was seen to count a whole sleep as a wait for a CPU, once in 744 sleeps: what the thread's own
            # reading has more than the events may be that.
            slept = asleep if by_events and queued and found < float(ns or 0) else 0.0
            compared = seen.place.compare_values(
                "scheduling",
                f"{thread.name}, {metric} by {row['method']}",
                (found, float(ns or 0)),
                unit="ns",
                tolerance=compute_wait_tolerance(ns or 0) + TRACEPOINT_NS * pieces,
                error=error + slept,
                metric=metric,
            )
            rows.append(compared)
    if thread.migrations is not None:
        rows += [
            seen.place.compare_values(
                "scheduling",
                f"{thread.name}, migrations",
                (row["value"], float(thread.migrations)),
                unit="count",
                tolerance=float(MOST_MIGRATIONS_OFF),
                metric="cpu_migrations",
            )
            for row in _select(seen, "cpu_migrations", thread)
        ]
    return rows


def _select(seen: WatchedRun, metric: str, thread: KnownThread) -> list[dict[str, Any]]:
    """The thread's measured rows, one per method."""
    rows = select_available(seen.tables, metric, "thread")
    return [
        row for row in rows if (row["pid"], row["tid"]) == (thread.pid, thread.tid) and row["quality"] == "measured"
    ]


def _sum_running(seen: WatchedRun, thread: KnownThread) -> float:
    """ns in its window in which the kernel's events show the thread on a CPU."""
    running = select_sched(seen.tables, "running", (thread.pid, thread.tid))
    return float(clip_durations(running, (thread.start_ns, thread.end_ns)).sum())


def _compare_steal(seen: WatchedRun) -> list[Comparison]:
    """Steal of the threads that know their CPU time: what they ran longer by the kernel's events than by their clocks,
    at most what the machine lost."""
    metric = "thread_steal_ns"
    found = {(row["pid"], row["tid"]): row for row in select_available(seen.tables, metric, "thread")}
    known = [
        thread
        for thread in seen.known.threads
        if thread.cpu_ns is not None and found.get((thread.pid, thread.tid), {}).get("quality") == "measured"
    ]
    if not known or seen.place.steal_ns is None:
        return []
    longer = sum(max(0.0, _sum_running(seen, thread) - (thread.cpu_ns or 0)) for thread in known)
    wanted = min(longer, float(seen.place.steal_ns))
    return [
        seen.place.compare_values(
            "scheduling",
            "all known threads, steal",
            (sum(float(found[thread.pid, thread.tid]["value"]) for thread in known), wanted),
            unit="ns",
            tolerance=compute_wait_tolerance(wanted),
            # Counted in ticks of 10 ms and for the whole machine: which thread lost it is an apportionment.
            error=float(seen.place.steal_ns),
            metric=metric,
        )
    ]
