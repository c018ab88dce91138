"""The GIL wait that somebody saw, wait by wait: the sum of the rows of `waits` of kind gil.

Every wait of a thread counts, in a task or not, from the moment it finds the GIL taken until it has it: a thread that
was called up and then queues for a CPU still waits. What it waits in drop_gil for somebody else to take the GIL
(gil-switch) is the price of a forced switch and a number of its own.
"""

from __future__ import annotations

import numpy as np

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.estimate import Estimate
from tracekit.analysis.metrics.interval_timeline import Ints, covered, first_wins, ints
from tracekit.analysis.metrics.lifetimes import KEYS
from tracekit.analysis.metrics.once import once
from tracekit.analysis.metrics.recorded_waits import GIL, seen_waits, watched_by
from tracekit.analysis.metrics.rows import Place
from tracekit.analysis.metrics.thread_sums import summed
from tracekit.analysis.tables import Tables


@once
def seen(tables: Tables, method: str, kind: str = GIL) -> dict[Place, Estimate]:
    """Per thread, process and run in which this method could see waits; 0 where it saw none.

    Runs whose GIL is off are left out: the accounting says so.
    """
    found = seen_waits(tables)
    waits = found.of(method, kind)
    values = found.lanes.sums(waits.starts, waits.lengths)
    counted = found.lanes.sums(waits.starts, np.ones(len(waits.starts), np.int64))
    there = watched_by(tables, found.threads, method) & ~found.threads["native"].to_numpy(bool)
    off = {run["run_id"] for run in usable_runs(tables) if run["gil_enabled"] is False}
    there = there & ~found.threads["run_id"].isin(off).to_numpy(bool)
    return summed(found.threads[there], values[there], counted[there], method)


@once
def in_tasks(tables: Tables, method: str) -> dict[Place, float]:
    """Per thread: the part of its GIL wait that lies in tasks, which is what an accounting bound bounds."""
    found = seen_waits(tables)
    spans = tables.spans[(tables.spans["name"] == "task")].reset_index(drop=True)
    starts = ints(spans["start_ns"])
    tasks = first_wins(found.lanes.lay(spans, starts, starts + ints(spans["dur_ns"])))
    waits = found.of(method, GIL)
    inside: Ints = found.lanes.sums(waits.starts, covered(waits.starts, waits.ends, tasks))
    places = zip(*(found.threads[key].tolist() for key in KEYS), strict=True)
    return dict(zip(places, inside.astype(np.float64).tolist(), strict=True))
