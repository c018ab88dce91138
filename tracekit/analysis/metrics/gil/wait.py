"""gil_wait_ns: how long threads waited for the GIL, by every method that has a say, the best first.

    kernel-uprobe   seen, wait by wait                gil_wait_seen.py
    waits-probe     seen, wait by wait                gil_wait_seen.py
    py-spy-native   a share of samples of the life    gil_wait_sampled.py
    schedstat, portable, single-thread, no-gil        gil_wait_bound.py

Of a process and a run: the sum over the threads that count (lives.py). The bound knows tasks only; what was seen
also holds the waits between tasks. Over the repeats of a cell: the median of each method's runs.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.estimate import unavailable
from tracekit.analysis.metrics.gil.wait_bound import NO_TASK, bounds
from tracekit.analysis.metrics.gil.wait_measured import seen
from tracekit.analysis.metrics.gil.wait_sampled import sampled
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.rows import Numbers, from_methods
from tracekit.analysis.metrics.thread_sums import joined
from tracekit.analysis.tables import Tables


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell, one per method."""
    return from_methods(tables, METRIC.name, METRIC.unit, by_method(tables), missing=unavailable(NO_TASK))


@once
def by_method(tables: Tables) -> Numbers:
    """What each method says of each place, the best method first."""
    return joined(seen(tables, KERNEL_UPROBE), seen(tables, WAITS_PROBE), sampled(tables), bounds(tables))


METRIC = Metric(
    name="gil_wait_ns",
    unit="ns",
    better="lower",
    needs=("waits", "samples", "spans", "counters", "threads"),
    valid_on=f"{EVERYWHERE}; exact on Linux with capture waits or kernel, narrow there with schedstat",
    summary="How long threads waited for the GIL; where nobody saw it, an interval that contains the truth.",
    method=(
        "kernel-uprobe and waits-probe: sum of the waits seen, in the run window. py-spy-native: share of the "
        "thread's samples that wait in libc right on Python code, times its life, Wilson interval. schedstat: task "
        "wall - task CPU - run-queue wait - our own readings, of task spans only; lower end: less all steal of the "
        "machine and the readings once more; upper end: task wall - task CPU. 0..0 where a process has one thread "
        "(threads that a task starts itself and ends again are not seen), 0 where the GIL is off, from 0 where tasks "
        "block by themselves; of programs 0..life - CPU time. Run: sum over worker threads, of programs over all "
        "Python threads. Cell: median per method; of bounds, of their ends."
    ),
    compute=compute,
)
