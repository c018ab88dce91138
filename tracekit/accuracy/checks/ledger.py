"""Checks that the ledger adds up: its unattributed part is a small share of the thread time.

With the kernel capture the ledger is made of scheduling events, without it of the probe's waits and the system's
accounting, so both are checked.

Some virtual machines' kernels record nothing in the context of the host's own agent: when it gives a CPU to one of our
threads, that switch is missing and nothing says so. The program's own CPU time tells: where the events have less of it,
a ledger made of them is `unclear`, and the run is made again. So is one whose rest is no more above the limit than what
the machine had stolen meanwhile: Linux counts stolen time per CPU, not per thread.
"""

from __future__ import annotations

from tracekit.accuracy.comparison import MOST_UNATTRIBUTED, Comparison, compute_wait_tolerance, judge_difference
from tracekit.accuracy.kernel_reference import explain_missing_reference
from tracekit.accuracy.known_answers import KnownThread
from tracekit.accuracy.thread_sums import (
    Key,
    clip_durations,
    find_life,
    list_threads,
    select_available,
    select_sched,
    sum_inside,
    sum_missing,
    sum_queue_of_all,
    sum_waits,
)
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.ledger.parts import GIL, IDLE, PART_OF_KIND
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE

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
    # Who gives up the GIL may sleep in libc, unseen by the probe, until threads that were woken before have had a CPU.
    unclear = (float(place.steal_ns or 0) + (0.0 if seen.kernel else sum_queue_of_all(seen))) / whole
    return [
        place.compare(
            check,
            f"all threads, {seen.capture}",
            judge_difference(share, MOST_UNATTRIBUTED, 1.0 if holes else unclear),
            unit="share",
            measured=share,
            reference=0.0,
            difference=share,
            tolerance=MOST_UNATTRIBUTED,
            metric="unattributed_ns",
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
    return [float(row["value"]) for row in select_available(seen.tables, metric, scope)]


def compare_known(seen: WatchedRun) -> list[Comparison]:
    """Comparisons for each thread that knows what it waited for, and of each thread's GIL wait."""
    rows = []
    for thread in seen.known.threads:
        # What a thread does after its window may be idle as well.
        whole = find_life(seen, thread) is not None
        for part, wanted in _sum_parts(thread).items():
            if part == IDLE and not whole:
                continue
            rows += _compare_part(seen, part, (thread.pid, thread.tid), thread.name, wanted)
    return [*rows, *_compare_gil(seen)]


def _sum_parts(thread: KnownThread) -> dict[str, float]:
    """The parts of the ledger that the thread knows, ns: idle is what it waited for work."""
    parts: dict[str, float] = {}
    for kind, ns in thread.waits.items():
        if PART_OF_KIND[kind] != GIL:
            idle = thread.idle.get(kind, 0)
            for part, amount in ((PART_OF_KIND[kind], ns - idle), (IDLE, idle)):
                parts[part] = parts.get(part, 0.0) + amount
    return parts


def _compare_gil(seen: WatchedRun) -> list[Comparison]:
    """The kernel's ledger has the kernel's waits, less what the thread ran in them: here those for the GIL are the
    probe's. Of those after a forced switch the probe misses some."""
    if not seen.known.gil or explain_missing_reference(seen.kernel):
        return []
    taking, dropping = sum_waits(seen.tables, "gil", WAITS_PROBE), sum_waits(seen.tables, "gil-switch", KERNEL_UPROBE)
    waits, rows = seen.tables.waits, []
    other = ((waits["kind"] == "gil") & (waits["method"] == WAITS_PROBE)) | (
        (waits["kind"] == "gil-switch") & (waits["method"] == KERNEL_UPROBE)
    )
    for thread in list_threads(seen):
        wanted = taking.get(thread.key, 0.0) + dropping.get(thread.key, 0.0)
        if wanted:
            of_thread = waits[other & (waits["pid"] == thread.key[0]) & (waits["tid"] == thread.key[1])]
            wanted -= sum_inside(select_sched(seen.tables, "running", thread.key), of_thread)
            rows += _compare_part(seen, GIL, thread.key, thread.label, wanted)
    return rows


def _compare_part(seen: WatchedRun, part: str, key: Key, label: str, wanted: float) -> list[Comparison]:
    """A part of a thread's time against the reference; nothing where this run does not tell it apart."""
    rows = select_available(seen.tables, part, "thread")
    return [
        seen.place.compare_values(
            "ledger-known",
            f"{label}, {part} by {row['method']}",
            (row["value"], wanted),
            unit="ns",
            tolerance=compute_wait_tolerance(wanted),
            # A lock's holder may be ready without a CPU.
            error=float(seen.place.steal_ns or 0) + sum_queue_of_all(seen) + sum_missing(seen, key),
            metric=part,
        )
        for row in rows
        if (row["pid"], row["tid"]) == key
    ]
