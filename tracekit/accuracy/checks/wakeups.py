"""Checks who ended each wait for a lock, as the probe recorded it, against the kernel's sched_waking.

That event comes in the context of the thread that wakes another. It is the reference for waits of a millisecond and
more that a thread of the same process ended: what a timer or a signal ended has no waker.
"""

from __future__ import annotations

import numpy as np

from tracekit.accuracy.comparison import Comparison
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.tables import records

SHORTEST_NS = 1_500_000
"""The probe leaves out wake-ups in the first millisecond; what lies near that would be compared by chance."""
MOST_WRONG = 0.02
_LEAST = 5
"""With fewer waits a single one decides."""


def compare_wakers(seen: WatchedRun) -> list[Comparison]:
    """One comparison per run: the share of waits whose waker is not the kernel's, or not known."""
    if seen.kernel is None or seen.kernel.lost:
        return []
    waits = seen.tables.waits
    waits = waits[(waits["method"] == WAITS_PROBE) & (waits["kind"] == "lock") & (waits["dur_ns"] >= SHORTEST_NS)]
    wakeups = seen.tables.wakeups
    places = zip(*(wakeups[name].tolist() for name in ("pid", "tid", "start_ns")), strict=True)
    found = dict(zip(places, wakeups["waker_tid"].tolist(), strict=True))
    threads = set(zip(seen.tables.threads["pid"].tolist(), seen.tables.threads["tid"].tolist(), strict=True))
    right, wrong, unknown, first = 0, 0, 0, ""
    for row in records(waits[["pid", "tid", "start_ns", "dur_ns"]]):
        times, wakers = seen.kernel.wakings.get(row["tid"], (np.empty(0), np.empty(0)))
        last = int(np.searchsorted(times, row["start_ns"] + row["dur_ns"], side="right")) - 1
        if last < 0 or times[last] < row["start_ns"] + SHORTEST_NS:
            continue
        waker = int(wakers[last])
        if waker == row["tid"] or (row["pid"], waker) not in threads:
            continue
        ours = found.get((row["pid"], row["tid"], row["start_ns"]))
        right, wrong, unknown = right + (ours == waker), wrong + (ours not in (waker, None)), unknown + (ours is None)
        if ours != waker and not first:
            first = f"; first: thread {row['tid']} was woken by {waker}, recorded is {ours}"
    count = right + wrong + unknown
    if count < _LEAST:
        return []
    missed = (wrong + unknown) / count
    # What a timer ended looks as if the thread that its interrupt met had ended it.
    error = 1 / count if unknown else 0.0
    return [
        seen.place.compare_values(
            "wakeups",
            "waits for a lock",
            (missed, 0.0),
            unit="share",
            tolerance=MOST_WRONG,
            error=error,
            reason=f"{right} of {count} right, {wrong} wrong, {unknown} not known{first}",
        )
    ]
