"""How long threads blocked, by kind: the rows of `waits` added up.

Every wait counts, also that of a worker for its next task: the ledger decides what of it is idle. Of a process and a
run: the sum over the threads that count (lifetimes.py). Only the wait probe records these waits.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import unavailable
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.recorded_intervals import sum_waits
from tracekit.analysis.metrics.rows import rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods

NOT_WATCHED = unavailable("needs capture waits, which sees blocking calls")

_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "gil_switch_wait_ns": (
        ("gil-switch",),
        "How long threads that gave the GIL up by force waited until another had taken it.",
    ),
    "lock_wait_ns": (("lock",), "How long threads were blocked on locks, conditions and semaphores."),
    "io_wait_ns": (("io-read", "io-write"), "How long threads were inside blocking reads and writes."),
    "poll_wait_ns": (("poll",), "How long threads waited in poll, select and epoll."),
    "sleep_ns": (("sleep",), "How long threads slept because they asked to."),
    "child_wait_ns": (("child-wait",), "How long threads waited for child processes to end."),
}


def compute(metric: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell; 0 where the probe watched and recorded no such wait."""
    kinds, _ = _KINDS[metric]
    sums = sum_waits(analysis.recorded_waits, analysis.watched_by(WAITS_PROBE), WAITS_PROBE, *kinds)
    return rows_of_methods(analysis, metric, "ns", join_methods(sums), missing=NOT_WATCHED)


def _metric(name: str) -> Metric:
    kinds, summary = _KINDS[name]
    names = " and ".join(kinds)
    return Metric(
        name=name,
        unit="ns",
        better="lower",
        needs=("waits", "threads"),
        valid_on=f"{LINUX}, with capture waits",
        summary=summary,
        method=f"Sum of the waits of kind {names} that the probe saw, idle ones included; CPU time inside the call "
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
