"""gil_wait_ns and gil_wait_share: how long threads waited for the GIL, by every method, the best first.

    kernel-uprobe, waits-probe    the sum of the recorded waits           recorded_intervals.py
    py-spy-native                 the share of samples of the lifetime    wait_sampled.py
    schedstat, portable, single-thread, no-gil                            wait_bound.py

Of a process and a run: the sum over the threads that count (lifetimes.py). A recorded wait counts in tasks and between
them, from the moment the thread finds the GIL taken until it has it: a thread that was woken and then queues for a CPU
still waits. What it waits in drop_gil for another thread to take the GIL (gil-switch) is the price of a forced switch
and a metric of its own. The bound knows tasks only.

The share is gil_wait_ns of a run over thread_wall_ns of the same run, method by method and end by end. It is computed
run by run, because the two pool differently: gil_wait_ns by the median and thread_wall_ns by the mean. Of five runs
that all wait half the time, one of them three times as long as the others, the median wait is half of a common run and
the mean wall 1.4 common runs: divided after pooling, that would read 36 %. Of a program the ledger lacks threads whose
CPU time nobody read, those of a process that was killed for example. Their waits are in gil_wait_ns, so their lifetimes
belong into the divisor as well.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, Place, bound, measured, unavailable
from tracekit.analysis.metrics.gil.wait_bound import NO_TASK
from tracekit.analysis.metrics.ledger.parts import WALL
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import rows_of_methods


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell, one per method."""
    return rows_of_methods(analysis, WAIT.name, WAIT.unit, analysis.gil_wait_numbers, missing=unavailable(NO_TASK))


def compute_share(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell, one per method."""
    walls = {**_thread_walls(analysis), **_program_lifetimes(analysis)}
    shares: dict[Place, list[Estimate]] = {
        place: [_share(wait, walls.get(place[0])) for wait in waits]
        for place, waits in analysis.gil_wait_numbers.items()
        if len(place) == 1
    }
    return rows_of_methods(analysis, SHARE.name, SHARE.unit, shares, missing=unavailable(NO_TASK))


def _thread_walls(analysis: Analysis) -> dict[str, float | None]:
    """Per run with threads that count: the whole of which the ledger's parts are parts, None when it is not known."""
    return {
        place[0]: estimate.value if estimate.available else None
        for place, estimate in analysis.thread_time(WALL).items()
        if len(place) == 1
    }


def _program_lifetimes(analysis: Analysis) -> dict[str, float]:
    """Per recorded program the lifetimes of all threads that count, added up."""
    threads = analysis.lifetimes
    threads = threads[threads["counts"] & threads["program"]]
    sums = (threads["died"] - threads["born"]).groupby(threads["run_id"]).sum()
    return {str(run_id): float(total) for run_id, total in sums.items()}


def _share(wait: Estimate, wall: float | None) -> Estimate:
    if not wait.available:
        return wait
    if not wall:
        return unavailable("the time of the worker threads is not known")
    # Tasks that overlap may reach beyond the stamped lifetime: no part is more than its whole.
    lower, value, upper = (min(1.0, end / wall) for end in (wait.lower, wait.value, wait.upper))
    if wait.quality == "measured":
        return measured(value, wait.method, n=wait.n, reason=wait.reason)
    if wait.quality == "bound":
        return bound(lower, value, upper, wait.method, n=wait.n, reason=wait.reason)
    return Estimate(value=value, lower=lower, upper=upper, method=wait.method, quality=wait.quality, n=wait.n)


WAIT = Metric(
    name="gil_wait_ns",
    unit="ns",
    better="lower",
    needs=("waits", "samples", "spans", "counters", "threads"),
    valid_on=f"{EVERYWHERE}; exact on Linux with capture waits or kernel, narrow there with schedstat",
    summary="How long threads waited for the GIL; where no capture recorded it, an interval that contains it.",
    method=(
        "kernel-uprobe and waits-probe: sum of the recorded waits, in the run window. py-spy-native: share of the "
        "thread's samples that wait in libc right on Python code, times its life, Wilson interval. schedstat: task "
        "wall - task CPU - run-queue wait - our own readings, of task spans only; lower end: less all steal of the "
        "machine and the readings once more; upper end: task wall - task CPU. 0..0 where a process has one thread "
        "(threads that a task starts itself and ends again are not seen), 0 where the GIL is off, from 0 where tasks "
        "block by themselves; of programs 0..life - CPU time. Run: sum over worker threads, of programs over all "
        "Python threads. Cell: median per method; of bounds, of their ends."
    ),
    compute=compute,
)
SHARE = Metric(
    name="gil_wait_share",
    unit="share",
    better="lower",
    needs=WAIT.needs,
    valid_on=WAIT.valid_on,
    summary="Which part of their time the threads waited for the GIL; an interval where no capture recorded it.",
    method=(
        "gil_wait_ns over thread_wall_ns of the same run, of programs over the lives of all Python threads, end by "
        "end. Cell: medians of the ends."
    ),
    compute=compute_share,
    computed_from=("gil_wait_ns", "thread_wall_ns"),
)
