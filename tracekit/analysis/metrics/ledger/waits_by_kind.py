"""How long threads blocked, by kind: the rows of `waits` added up.

Every wait counts, also that of a worker for its next task: the ledger decides what of it is idle. Of a process and a
run: the sum over the threads that count (lifetimes.py). Only the wait probe records these waits.

Of the waits for a GIL switch it may miss some: libc's pthread_cond_signal may itself sleep in drop_gil, and no call
shows that. So that sum is a lower end, and with all time of the thread that nothing else explains it is the upper end.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, unavailable
from tracekit.analysis.metrics.interval_timeline import make_disjoint
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.recorded_intervals import GIL_SWITCH, sum_waits
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods, sum_bounds
from tracekit.analysis.tables import WAIT_KINDS

_AT_LEAST = "at least what the probe saw: the thread may also have slept in libc's pthread_cond_signal, unseen"
INSIDE_NS = 20_000
"""The most CPU time that a wait takes: of 4,000 short ones beside one another it was 50 of 250 ms."""
READS_AND_WRITES = ("io-read", "io-write")
NOT_WATCHED = unavailable("needs capture waits, which sees blocking calls")

_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "gil_switch_wait_ns": (
        (GIL_SWITCH,),
        "How long threads that gave the GIL up by force waited until another had taken it.",
    ),
    "lock_wait_ns": (("lock",), "How long threads were blocked on locks, conditions and semaphores."),
    "io_wait_ns": (READS_AND_WRITES, "How long threads were inside blocking reads and writes."),
    "poll_wait_ns": (("poll",), "How long threads waited in poll, select and epoll."),
    "sleep_ns": (("sleep",), "How long threads slept because they asked to."),
    "child_wait_ns": (("child-wait",), "How long threads waited for child processes to end."),
}


def compute(metric: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell; 0 where the probe watched and recorded no such wait."""
    kinds, _ = _KINDS[metric]
    if metric == "gil_switch_wait_ns":
        sums = _bound_switches(analysis)
    else:
        sums = sum_waits(analysis.recorded_waits, analysis.watched_by(WAITS_PROBE), WAITS_PROBE, *kinds)
    return rows_of_methods(analysis, metric, "ns", join_methods(sums), missing=NOT_WATCHED)


def _bound_switches(analysis: Analysis) -> dict[Place, Estimate]:
    """From the recorded waits to these and all time of the thread that is neither CPU time nor another wait.

    A read or write may be on a CPU, so of these and the CPU time only the longer is certain. Nothing was missed where
    no other thread could take the GIL. Where the ends meet, the number is measured.
    """
    recorded, watched = analysis.recorded_waits, analysis.watched_by(WAITS_PROBE)
    threads, timeline = recorded.threads, recorded.timeline
    switches = recorded.select(WAITS_PROBE, GIL_SWITCH)
    seen = timeline.sum_by_lane(switches.starts, switches.lengths)
    others = make_disjoint(recorded.select(WAITS_PROBE, *(kind for kind in WAIT_KINDS if kind != GIL_SWITCH)))
    copies = recorded.waits["kind"].isin(READS_AND_WRITES).to_numpy(bool)[others.rows]
    copying, waiting = (
        timeline.sum_by_lane(part.starts, part.lengths) for part in (others.select(copies), others.select(~copies))
    )
    # CPU time may also be inside these waits: each has a little, to fall asleep and to wake.
    inside = np.minimum(waiting, timeline.count_by_lane(others.select(~copies).starts) * INSIDE_NS)
    room = timeline.lengths - waiting - np.maximum(analysis.accountable_time.cpu - inside, copying)
    beside = (~threads["native"]).groupby([threads[key] for key in KEYS[:2]]).transform("sum")
    certain = (beside < 2) | threads["native"] | threads["run_id"].isin(list(analysis.gil_off_ids))
    most = np.where(certain.to_numpy(bool), seen, np.maximum(seen, room))
    ends = (seen[watched], seen[watched], most[watched])
    counts = timeline.count_by_lane(switches.starts)[watched]
    bounds = sum_bounds(threads[watched], ends, WAITS_PROBE, counted=counts, reason=_AT_LEAST)
    return {
        place: replace(item, quality="measured", reason=None) if item.lower == item.upper else item
        for place, item in bounds.items()
    }


def _metric(name: str) -> Metric:
    kinds, summary = _KINDS[name]
    names = " and ".join(kinds)
    missed = (
        " Upper end: all time of the thread that is neither CPU time, but for 20 µs in each wait, nor another wait, as "
        "the probe sees no sleep inside libc's pthread_cond_signal; the same as the lower end where no other thread "
        "could take the GIL."
        if name == "gil_switch_wait_ns"
        else ""
    )
    return Metric(
        name=name,
        unit="ns",
        better="lower",
        needs=("waits", "threads"),
        valid_on=f"{LINUX}, with capture waits",
        summary=summary,
        method=f"Sum of the waits of kind {names} that the probe saw, idle ones included; CPU time inside the call "
        f"is in it.{missed} Run: sum over worker threads, of programs over all Python threads. Cell: median, bootstrap "
        "interval.",
        compute=partial(compute, name),
    )


GIL_SWITCH_WAIT = _metric("gil_switch_wait_ns")
LOCK = _metric("lock_wait_ns")
IO = _metric("io_wait_ns")
POLL = _metric("poll_wait_ns")
SLEEP = _metric("sleep_ns")
CHILD = _metric("child_wait_ns")
