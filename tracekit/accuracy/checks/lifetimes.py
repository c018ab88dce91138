"""Checks how long processes and threads lived, and what CPU time they used, against the kernel's events.

The wall of a program begins with its process and ends when tracekit has reaped it; a thread's life, as the probe stamps
it, begins with its first and ends with its last instruction. The kernel's begin where it creates the process or the
thread, or executes the program, and end where it begins to take it down.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison, compute_wait_tolerance
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.thread_sums import (
    Key,
    clip_durations,
    estimate_error,
    list_threads,
    select_available,
    select_sched,
    sum_missing,
)
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.tables import records

_LATEST_NS = 2**62


def compare_with_kernel(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for the run, its processes and threads."""
    place, check = seen.place, "lifetimes"
    if seen.kernel is None:
        return [place.mark_unavailable(check, "the kernel capture did not run")]
    if seen.kernel.lost:
        return [place.mark_unavailable(check, f"the kernel lost {seen.kernel.lost:,} events")]
    rows = [*_compare_wall(seen, seen.kernel), *_compare_threads(seen, seen.kernel), *_compare_cpu(seen)]
    return rows or [place.mark_unavailable(check, "no process was recorded")]


def _compare_wall(seen: WatchedRun, kernel: KernelReference) -> list[Comparison]:
    main = next((row["pid"] for row in records(seen.tables.processes) if row["role"] == "main"), None)
    found = select_available(seen.tables, "wall_ns", "run")
    if not found or main not in kernel.born or main not in kernel.ended:
        return []
    wanted = kernel.ended[main] - kernel.born[main]
    return [_compare_times(seen, "wall_ns", "the program", (main, main), (found[0]["value"], wanted))]


def _compare_threads(seen: WatchedRun, kernel: KernelReference) -> list[Comparison]:
    found = {
        (row["pid"], row["tid"]): row["value"] for row in select_available(seen.tables, "thread_wall_ns", "thread")
    }
    starts = {(row["pid"], row["tid"]): row["start_ns"] for row in records(seen.tables.threads)}
    rows = []
    for thread in list_threads(seen):
        tid = thread.key[1]
        # A program's first thread is one of Python from exec on.
        born = kernel.executed.get(tid, kernel.born.get(tid))
        if thread.key in found and born is not None and tid in kernel.ended:
            # Its life begins with its first instruction, for which it may have had to wait for a CPU.
            start_ns = starts.get(thread.key)
            early = (
                0
                if start_ns is None
                else clip_durations(select_sched(seen.tables, "runnable", thread.key), (0, start_ns)).sum()
            )
            values = found[thread.key] + float(early), float(kernel.ended[tid] - born)
            rows.append(_compare_times(seen, "thread_wall_ns", f"{thread.label}, life", thread.key, values))
    return rows


def _compare_cpu(seen: WatchedRun) -> list[Comparison]:
    """CPU time of each process against its own clock, and what the kernel's events show of it after that reading."""
    running = seen.tables.sched[seen.tables.sched["state"] == "running"]
    found = {row["pid"]: row for row in select_available(seen.tables, "cpu_ns", "process")}
    ended = {row["pid"]: row["ended"] for row in records(seen.tables.processes)}
    rows = []
    for process in seen.known.processes:
        rest = clip_durations(running[running["pid"] == process.pid], (process.at_ns, _LATEST_NS)).sum()
        wanted = float(process.cpu_ns + rest)
        row = found.get(process.pid, {})
        value = float(row.get("value", 0.0))
        if row.get("quality") == "bound":
            # A bound is right where the true value lies in it.
            value = min(max(wanted, float(row["lower"])), float(row["upper"]))
        # Of a process that was killed the events may be all there is: they count what the hypervisor had as well.
        error = float(seen.place.steal_ns or 0)
        error += sum(sum_missing(seen, thread.key) for thread in list_threads(seen) if thread.key[0] == process.pid)
        rows.append(
            seen.place.compare_values(
                "lifetimes",
                f"process {process.pid}, CPU time",
                (value, wanted),
                unit="ns",
                tolerance=compute_wait_tolerance(wanted),
                error=error if rest or ended.get(process.pid) == "signal" else 0.0,
                metric="cpu_ns",
            )
        )
    return rows


def _compare_times(seen: WatchedRun, metric: str, what: str, key: Key, values: tuple[float, float]) -> Comparison:
    """`key` is the thread whose wait for a CPU, or whose missing events, may explain a difference."""
    return seen.place.compare_values(
        "lifetimes",
        what,
        values,
        unit="ns",
        tolerance=compute_wait_tolerance(values[1]),
        error=estimate_error(seen, key) + sum_missing(seen, key),
        metric=metric,
    )
