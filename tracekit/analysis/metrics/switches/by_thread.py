"""Context switches of single threads, as the kernel's scheduling record or the wait probe has them.

    kernel-sched   a running interval that a blocked one follows is a voluntary switch, one that a runnable one follows
                   an involuntary one; inside the run window
    waits-probe    the kernel's own counts of each thread at its end, of its whole life

Of those at which a thread waits for the GIL:

    kernel-sched   voluntary switches inside a GIL wait, exactly: one to begin it, one more each time the waiter woke
                   to ask
    waits-probe    one per switch interval begun, estimated: ceil(wait / switch interval)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.estimate import Estimate
from tracekit.analysis.metrics.gil.holds import SWITCH_INTERVAL_NS, interval_of, switch_intervals
from tracekit.analysis.metrics.interval_timeline import Bools, Intervals, Ints, first_wins
from tracekit.analysis.metrics.ledger.from_sched import scheduled
from tracekit.analysis.metrics.methods import KERNEL_SCHED, WAITS_PROBE
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import GIL, GIL_SWITCH, seen_waits, watched_by, watchers
from tracekit.analysis.metrics.rows import Place
from tracekit.analysis.metrics.thread_sums import summed
from tracekit.analysis.tables import Tables

VOLUNTARY, INVOLUNTARY = "voluntary_switches", "involuntary_switches"
WAKE_UPS = f"{WAITS_PROBE}, wake-ups per switch interval"


@once
def by_kernel(tables: Tables, counter: str) -> dict[Place, Estimate]:
    """Switches of each thread, process and run, from the table `sched`."""
    found = seen_waits(tables)
    switched = _switch_points(tables, voluntary=counter == VOLUNTARY)
    counts = found.lanes.sums(switched, np.ones(len(switched), np.int64))
    there = _scheduled(tables)
    return summed(found.threads[there], counts[there], counts[there], KERNEL_SCHED, every=True)


@once
def by_threads(tables: Tables, counter: str) -> dict[Place, Estimate]:
    """The same from the counts of the threads at their ends; of processes and runs of which every thread has one."""
    threads = seen_waits(tables).threads
    known = threads[counter].notna().to_numpy(bool)
    there = known & watched_by(tables, threads, WAITS_PROBE)
    counts = threads[counter].fillna(0).to_numpy(np.int64)
    numbers = summed(threads[there], counts[there], counts[there], f"{WAITS_PROBE}, thread ends", every=True)
    lacking = threads[~known]
    short = set(zip(lacking["run_id"], lacking["pid"], strict=True)) | {(run_id,) for run_id in lacking["run_id"]}
    return {place: item for place, item in numbers.items() if place not in short}


@once
def waiting_for_gil(tables: Tables, method: str) -> dict[Place, Estimate]:
    """The voluntary switches of threads that wait for the GIL; `method` is KERNEL_SCHED or WAITS_PROBE."""
    found = seen_waits(tables)
    if method == KERNEL_SCHED:
        watching = watchers(tables)
        chosen = np.zeros(len(found.line.starts), np.bool_)
        for seen_by in {methods[0] for methods in watching.values()}:
            of_runs = found.waits["run_id"].isin([run for run, by in watching.items() if by[0] == seen_by])
            chosen |= found.among(seen_by, GIL, GIL_SWITCH) & of_runs.to_numpy(bool)[found.line.rows]
        waits = first_wins(found.line.chosen(chosen))
        points = _switch_points(tables, voluntary=True)
        # The switch itself is 1 ns later, which is where a wait begins that is counted from its first sleep on.
        points = points[_within(points + 1, waits)]
        counts = found.lanes.sums(points, np.ones(len(points), np.int64))
        there = _scheduled(tables) & found.threads["run_id"].isin(list(watching)).to_numpy(bool)
        return summed(found.threads[there], counts[there], counts[there], KERNEL_SCHED, every=True)
    waits = found.of(method, GIL)
    limits = _limits(tables, found.threads)[found.lanes.lanes_at(waits.starts)]
    wakes = -(-waits.lengths // limits)
    counts = found.lanes.sums(waits.starts, wakes)
    there = watched_by(tables, found.threads, method)
    return {
        place: Estimate(
            value=item.value, lower=item.value, upper=item.value, method=WAKE_UPS, quality="estimated", n=item.n
        )
        for place, item in summed(found.threads[there], counts[there], counts[there], method, every=True).items()
    }


def _scheduled(tables: Tables) -> Bools:
    """Which threads the kernel's record has."""
    found, running = seen_waits(tables), scheduled(tables).running
    there: Bools = found.lanes.sums(running.starts, running.lengths) > 0
    return there


def _switch_points(tables: Tables, *, voluntary: bool) -> Ints:
    """Where on the line a thread left its CPU: the last ns of its running intervals, so that it has a lane."""
    states = scheduled(tables)
    after = [states.sleeping, states.disk] if voluntary else [states.runnable]
    begins = np.sort(np.concatenate([part.starts for part in after]))
    ends = states.running.ends
    at = np.searchsorted(begins, ends)
    followed = np.zeros(len(ends), np.bool_)
    there = at < len(begins)
    followed[there] = begins[at[there]] == ends[there]
    # The end of one lane is the beginning of the next: what follows must be of the same thread.
    edges = seen_waits(tables).lanes.edges
    points: Ints = (ends - 1)[followed & ~np.isin(ends, edges)]
    return points


def _within(points: Ints, by: Intervals) -> Bools:
    at = np.searchsorted(by.starts, points, side="right") - 1
    found: Bools = (at >= 0) & (points < by.ends[at]) if len(by.starts) else np.zeros(len(points), np.bool_)
    return found


def _limits(tables: Tables, threads: pd.DataFrame) -> Ints:
    intervals = switch_intervals(tables)
    by_run = {run["run_id"]: interval_of(run, intervals) for run in usable_runs(tables)}
    return np.array([by_run.get(run_id, SWITCH_INTERVAL_NS) for run_id in threads["run_id"]], dtype=np.int64)
