"""Context switches of single threads, from the kernel's scheduling record or from the wait probe.

    kernel-sched   a running interval that a blocked one follows is a voluntary switch, one that a runnable one follows
                   an involuntary one; inside the run window
    waits-probe    the kernel's own counts of each thread at its end, of its whole life

Of these, the switches of threads that wait for the GIL:

    kernel-sched   voluntary switches inside a GIL wait, exactly: one to begin it, one more each time the waiter woke
                   to request the GIL
    waits-probe    one per switch interval begun, estimated: ceil(wait / switch interval); the interval is that of the
                   process's last wait, else of the environment, else CPython's default, and then the reason says so
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tracekit.analysis.metrics.estimate import Estimate, Place
from tracekit.analysis.metrics.gil.holds import ASSUMED, find_places, look_up_intervals
from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Ints, make_disjoint
from tracekit.analysis.metrics.methods import KERNEL_SCHED, WAITS_PROBE
from tracekit.analysis.metrics.recorded_intervals import GIL, GIL_SWITCH, RecordedWaits, SchedStates, find_recorded
from tracekit.analysis.metrics.thread_sums import sum_bounds, sum_threads
from tracekit.bundle.waits_file import QUEUE_AGE_NS

_ENDS = f"{WAITS_PROBE}, thread ends"
KILLED = "at least: a thread was killed, or lived beyond the window, after its last reading"
_NAMED = 3
"""So many missing processes are named."""
VOLUNTARY, INVOLUNTARY = "voluntary_switches", "involuntary_switches"
WAKE_UPS = f"{WAITS_PROBE}, wake-ups per switch interval"


def count_in_sched(recorded: RecordedWaits, states: SchedStates, counter: str) -> dict[Place, Estimate]:
    """Switches of each thread, process and run, from the kernel's scheduling record."""
    switched = _switch_points(recorded, states, voluntary=counter == VOLUNTARY)
    counts = recorded.timeline.count_by_lane(switched)
    there = have_sched(recorded, states)
    return sum_threads(recorded.threads[there], counts[there], counts[there], KERNEL_SCHED, every=True)


def sum_thread_ends(
    recorded: RecordedWaits, watched: Bools, counter: str, programs: Collection[str]
) -> dict[Place, Estimate]:
    """A count that the wait probe read of each thread at its end; of processes and runs of which every thread has one.

    A duration of a thread that was killed was read before: it is a bound, at most all the time since then more.

    watched    which threads, rows of the lifetimes table, are of runs that the probe watched
    programs   runs of recorded programs: these have the sum of their other processes, as an estimate that names those
               that are missing. What a suite compares has other sources, and one that lacks a worker would flatter.
    """
    threads = recorded.threads
    known = threads[counter].notna().to_numpy(bool)
    there = known & watched
    counts = threads[counter].fillna(0).to_numpy(np.int64)
    # What is a duration and no count has one reading a thread.
    of_each = np.ones(len(counts), np.int64) if counter.endswith("_ns") else counts
    numbers = sum_threads(threads[there], counts[there], of_each[there], _ENDS, every=True)
    numbers |= _bound_unread(recorded, there, counter)
    lacking = threads[~known]
    short = set(zip(lacking["run_id"], lacking["pid"], strict=True))
    runs = {(run_id,) for run_id, _ in short}
    found = {place: item for place, item in numbers.items() if place not in short and place not in runs}
    for run in runs & {(run_id,) for run_id in programs}:
        others = [item for place, item in found.items() if len(place) == 2 and place[:1] == run]
        if others:
            found[run] = _sum_others(others, sorted(pid for run_id, pid in short if (run_id,) == run))
    return found


def _bound_unread(recorded: RecordedWaits, there: Bools, counter: str) -> dict[Place, Estimate]:
    """The places of `there` in which a thread's duration was last read before the thread was killed."""
    threads = recorded.threads[there]
    unread = threads["unread_ns"].to_numpy(np.int64)
    if not counter.endswith("_ns") or not unread.any():
        return {}
    older = QUEUE_AGE_NS if counter == "run_queue_wait_ns" else 0
    least = threads[counter].to_numpy(np.int64)
    most = least + np.where(unread > 0, unread + older, 0)
    likely = np.minimum(least + (threads["more_ns"].to_numpy(np.int64) if counter == "cpu_ns" else 0), most)
    bounds = sum_bounds(threads, (least, likely, most), _ENDS, reason=KILLED, every=True)
    return {place: found for place, found in bounds.items() if found.upper > found.lower}


def _sum_others(processes: Sequence[Estimate], missing: Sequence[int]) -> Estimate:
    """The sum of these processes of a run, which lacks others: at least that, and how much more is not known."""
    which = "es " if len(missing) > 1 else " "
    return Estimate(
        value=sum(item.value for item in processes),
        lower=sum(item.value for item in processes),
        upper=math.nan,
        method=processes[0].method,
        quality="estimated",
        n=sum(item.n for item in processes),
        reason=f"at least: without process{which}{', '.join(map(str, missing[:_NAMED]))}"
        f"{f' and {len(missing) - _NAMED} more' if len(missing) > _NAMED else ''}, whose threads left no count, "
        "as when a signal ends them or they live beyond a window",
    )


def count_gil_waiters_in_sched(
    recorded: RecordedWaits, states: SchedStates, wait_methods: Mapping[str, Sequence[str]]
) -> dict[Place, Estimate]:
    """The voluntary switches inside GIL waits, from the kernel's scheduling record.

    `wait_methods`: per run the methods that recorded its waits, the best first.
    """
    chosen = np.zeros(len(recorded.line.starts), np.bool_)
    for method in {methods[0] for methods in wait_methods.values()}:
        of_runs = recorded.waits["run_id"].isin([run for run, by in wait_methods.items() if by[0] == method])
        chosen |= recorded.are(method, GIL, GIL_SWITCH) & of_runs.to_numpy(bool)[recorded.line.rows]
    waits = make_disjoint(recorded.line.select(chosen))
    points = _switch_points(recorded, states, voluntary=True)
    # The switch itself is 1 ns later, where a wait begins that is counted from its first sleep on.
    points = points[_lie_within(points + 1, waits)]
    counts = recorded.timeline.count_by_lane(points)
    there = have_sched(recorded, states) & recorded.threads["run_id"].isin(list(wait_methods)).to_numpy(bool)
    return sum_threads(recorded.threads[there], counts[there], counts[there], KERNEL_SCHED, every=True)


def estimate_gil_waiters(
    recorded: RecordedWaits, watched: Bools, intervals_ns: Mapping[Place, int]
) -> dict[Place, Estimate]:
    """The same from the probe's waits alone: one switch for each switch interval that a wait begins.

    `intervals_ns`: those of processes and runs that are known.
    """
    waits = recorded.select(WAITS_PROBE, GIL)
    limits, assumed = look_up_intervals(recorded.threads, intervals_ns)
    wakes = -(-waits.lengths // limits[recorded.timeline.find_lanes(waits.starts)])
    counts = recorded.timeline.sum_by_lane(waits.starts, wakes)
    threads = recorded.threads[watched]
    unknown = find_places(recorded.threads[assumed & (counts > 0)])
    return {
        place: replace(item, quality="estimated", reason=ASSUMED if place in unknown else None)
        for place, item in sum_threads(threads, counts[watched], counts[watched], WAKE_UPS, every=True).items()
    }


def have_sched(recorded: RecordedWaits, states: SchedStates) -> Bools:
    """Which threads the kernel's scheduling record has."""
    return find_recorded(recorded.timeline, states)


def _switch_points(recorded: RecordedWaits, states: SchedStates, *, voluntary: bool) -> Ints:
    """Where on the timeline a thread left its CPU: the last ns of its running intervals, so that it has a lane."""
    after = [states.sleeping, states.disk] if voluntary else [states.runnable]
    begins = np.sort(np.concatenate([part.starts for part in after]))
    ends = states.running.ends
    at = np.searchsorted(begins, ends)
    followed = np.zeros(len(ends), np.bool_)
    there = at < len(begins)
    followed[there] = begins[at[there]] == ends[there]
    # The end of one lane is the beginning of the next: what follows must be of the same thread.
    points: Ints = (ends - 1)[followed & ~np.isin(ends, recorded.timeline.edges)]
    return points


def _lie_within(points: Ints, by: Intervals) -> Bools:
    at = np.searchsorted(by.starts, points, side="right") - 1
    found: Bools = (at >= 0) & (points < by.ends[at]) if len(by.starts) else np.zeros(len(points), np.bool_)
    return found
