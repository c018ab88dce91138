"""How long threads blocked, by what for: the rows of `waits` added up by kind.

Every wait counts, also that of a worker for its next task: what of it is idleness is for the ledger to say. Of a
process and a run: the sum over the threads that count (lives.py). Only the wait probe sees these waits.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, unavailable
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.recorded_waits import seen_waits, watched_by
from tracekit.analysis.metrics.rows import Place, from_methods
from tracekit.analysis.metrics.thread_sums import joined, summed
from tracekit.analysis.tables import Tables

NOT_WATCHED = unavailable("needs capture waits, which sees blocking calls")


class _Kind(NamedTuple):
    kinds: tuple[str, ...]
    summary: str


_KINDS = {
    "gil_switch_wait_ns": _Kind(
        ("gil-switch",), "How long threads that gave the GIL up by force waited until another had taken it."
    ),
    "lock_wait_ns": _Kind(("lock",), "How long threads were blocked on locks, conditions and semaphores."),
    "io_wait_ns": _Kind(("io-read", "io-write"), "How long threads were inside blocking reads and writes."),
    "poll_wait_ns": _Kind(("poll",), "How long threads waited in poll, select and epoll."),
    "sleep_ns": _Kind(("sleep",), "How long threads slept because they asked to."),
    "child_wait_ns": _Kind(("child-wait",), "How long threads waited for child processes to end."),
}


def compute(metric: str, tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell."""
    return from_methods(tables, metric, "ns", joined(by_kind(tables, metric)), missing=NOT_WATCHED)


def by_kind(tables: Tables, metric: str) -> dict[Place, Estimate]:
    """The sum of each place where the probe watched, 0 where it saw none."""
    found = seen_waits(tables)
    waits = found.of(WAITS_PROBE, *_KINDS[metric].kinds)
    values = found.lanes.sums(waits.starts, waits.lengths)
    counted = found.lanes.sums(waits.starts, np.ones(len(waits.starts), np.int64))
    there = watched_by(tables, found.threads, WAITS_PROBE)
    return summed(found.threads[there], values[there], counted[there], WAITS_PROBE)


def _metric(name: str) -> Metric:
    kinds = " and ".join(_KINDS[name].kinds)
    return Metric(
        name=name,
        unit="ns",
        better="lower",
        needs=("waits", "threads"),
        valid_on=f"{LINUX}, with capture waits",
        summary=_KINDS[name].summary,
        method=f"Sum of the waits of kind {kinds} that the probe saw, idle ones included; CPU time inside the call "
        "is in it. Run: sum over worker threads, of programs over all Python threads. Cell: median, bootstrap "
        "interval.",
        compute=partial(compute, name),
    )


GIL_SWITCH_WAIT = _metric("gil_switch_wait_ns")
LOCK = _metric("lock_wait_ns")
IO = _metric("io_wait_ns")
POLL = _metric("poll_wait_ns")
SLEEP = _metric("sleep_ns")
CHILD = _metric("child_wait_ns")
