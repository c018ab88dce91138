"""gil_wait_share: which part of their time the threads waited for the GIL.

gil_wait_ns of a run over thread_wall_ns of the same run, method by method and end by end. Run by run, because the two
pool differently: gil_wait_ns by the median and thread_wall_ns by the mean. Of five runs that all wait half the time,
one of them three times as long as the others, the median wait is half of a common run and the mean wall 1.4 common
runs: divided after pooling, that would read 36 %.

Of a program the ledger lacks threads of which nobody read the CPU time, those of a process that was killed say. What
they waited is in gil_wait_ns, so their lives belong below it as well.

Over the repeats of a cell: the medians of the ends and of the value.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, bound, measured, unavailable
from tracekit.analysis.metrics.gil import wait as gil_wait
from tracekit.analysis.metrics.gil.wait_bound import NO_TASK
from tracekit.analysis.metrics.ledger.thread_time import thread_walls
from tracekit.analysis.metrics.lifetimes import lives
from tracekit.analysis.metrics.metric import Metric
from tracekit.analysis.metrics.rows import Place, from_methods
from tracekit.analysis.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell, one per method."""
    walls = {**thread_walls(tables), **_lives_of_programs(tables)}
    shares: dict[Place, list[Estimate]] = {
        place: [_share(wait, walls.get(place[0])) for wait in waits]
        for place, waits in gil_wait.by_method(tables).items()
        if len(place) == 1
    }
    return from_methods(tables, METRIC.name, METRIC.unit, shares, missing=unavailable(NO_TASK))


def _lives_of_programs(tables: Tables) -> dict[str, float]:
    """Per run the lives of all threads that count, added up."""
    threads = lives(tables)
    threads = threads[threads["counts"] & threads["program"]]
    sums = (threads["died"] - threads["born"]).groupby(threads["run_id"]).sum()
    return {str(run_id): float(total) for run_id, total in sums.items()}


def _share(wait: Estimate, wall: float | None) -> Estimate:
    if not wait.available:
        return wait
    if not wall:
        return unavailable("the time of the worker threads is not known")
    # Tasks that lie over one another may reach beyond the life that was stamped: no part is more than its whole.
    lower, value, upper = (min(1.0, end / wall) for end in (wait.lower, wait.value, wait.upper))
    if wait.quality == "measured":
        return measured(value, wait.method, n=wait.n, reason=wait.reason)
    if wait.quality == "bound":
        return bound(lower, value, upper, wait.method, n=wait.n, reason=wait.reason)
    return Estimate(value=value, lower=lower, upper=upper, method=wait.method, quality=wait.quality, n=wait.n)


METRIC = Metric(
    name="gil_wait_share",
    unit="share",
    better="lower",
    needs=gil_wait.METRIC.needs,
    valid_on=gil_wait.METRIC.valid_on,
    summary="Which part of their time the threads waited for the GIL; an interval where nobody saw it.",
    method=(
        "gil_wait_ns over thread_wall_ns of the same run, of programs over the lives of all Python threads, end by "
        "end. Cell: medians of the ends."
    ),
    compute=compute,
)
