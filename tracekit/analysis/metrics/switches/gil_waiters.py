"""gil_waiter_switches, other_voluntary_switches: voluntary switches to wait for the GIL, and all others.

A thread that waits for the GIL blocks, wakes when the switch interval is over to request it, and blocks again: two
spinners make some 130 such switches a second each. To the kernel they are voluntary like those of I/O. Taken off the
voluntary switches they leave what the program itself waited for: locks, I/O, sleep.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, unavailable
from tracekit.analysis.metrics.methods import find_family
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.switches.switches import list_numbers

_NOT_WATCHED = unavailable("needs capture waits or kernel, which see who waits for the GIL")


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of gil_waiter_switches of scope thread, process, run and cell."""
    return rows_of_methods(analysis, WAITERS.name, WAITERS.unit, analysis.gil_waiter_switches, missing=_NOT_WATCHED)


def compute_others(analysis: Analysis) -> pd.DataFrame:
    """Rows of other_voluntary_switches of scope thread, process, run and cell."""
    waiters, every = analysis.gil_waiter_switches, list_numbers(analysis, "voluntary_switches")
    found: dict[Place, list[Estimate]] = {}
    for place, estimates in waiters.items():
        for waiting in estimates:
            # Counts of one watcher where it has both; the probe's thread ends are the kernel's counts as well.
            counts = [item for item in every.get(place, ()) if item.available]
            same = [item for item in counts if find_family(item.method) == find_family(waiting.method)]
            if counts:
                found.setdefault(place, []).append(_less((same or counts)[0], waiting))
    return rows_of_methods(analysis, OTHERS.name, OTHERS.unit, found, missing=_NOT_WATCHED)


def _less(count: Estimate, waiting: Estimate) -> Estimate:
    value = max(0.0, count.value - waiting.value)
    return Estimate(
        value=value,
        lower=value,
        upper=value,
        method=waiting.method,
        quality=waiting.quality,
        n=round(count.value),
        reason=waiting.reason,
    )


WAITERS = Metric(
    name="gil_waiter_switches",
    unit="count",
    better="lower",
    needs=("waits", "sched", "threads"),
    valid_on=f"{LINUX}, with capture waits or kernel",
    summary="How often a thread gave up its CPU because it waited for the GIL, each wake-up to request it included.",
    method=(
        "kernel-sched: voluntary switches inside GIL waits. waits-probe: ceil(wait / switch interval), summed over GIL "
        "waits; the interval is that of the process's last wait, else of the environment, else 5 ms, as the reason "
        "then says. Run: sum over its threads. Cell: median."
    ),
    compute=compute,
)
OTHERS = Metric(
    name="other_voluntary_switches",
    unit="count",
    better="neither",
    needs=("waits", "sched", "threads", "counters"),
    valid_on=f"{LINUX}, with capture waits or kernel",
    summary="Voluntary context switches that were no wait for the GIL: locks, I/O, sleep.",
    method=(
        "voluntary_switches - gil_waiter_switches of the same place, at least 0, by one watcher where it counts both. "
        "Cell: median."
    ),
    compute=compute_others,
    computed_from=("voluntary_switches", "gil_waiter_switches"),
)
