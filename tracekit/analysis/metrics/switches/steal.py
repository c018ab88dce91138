"""steal_ns: CPU time that the hypervisor gave to somebody else while our processes wanted it.

/proc/stat counts it for the whole machine in ticks of 10 ms, so other programs' share is in it as well. It is
summed over the runs of a cell: it comes in bursts, and a median would hide them.
"""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.counter_changes import machine_changes
from tracekit.analysis.metrics.estimate import measured, pooled_sum, unavailable
from tracekit.analysis.metrics.metric import LINUX, Metric
from tracekit.analysis.metrics.rows import from_methods
from tracekit.analysis.tables import Tables, records

_MISSING = unavailable("the system does not count steal here")


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell."""
    estimates = {
        (row["run_id"],): [measured(row["value"], "/proc/stat")]
        for row in records(machine_changes(tables, "steal_ns"))
        if row["value"] is not None
    }
    return from_methods(tables, METRIC.name, METRIC.unit, estimates, pool=pooled_sum, missing=_MISSING)


METRIC = Metric(
    name="steal_ns",
    unit="ns",
    better="lower",
    needs=("counters",),
    valid_on=LINUX,
    summary="CPU time of the machine that the hypervisor gave to others during the runs.",
    method="Difference of /proc/stat's steal over the run window, in ticks of 10 ms. Cell: sum of its runs.",
    compute=compute,
)
