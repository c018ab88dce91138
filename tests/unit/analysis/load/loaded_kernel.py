"""Kernel traces made by hand, loaded: the rows that came of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tests.unit.analysis.load import made_kernel as made
from tests.unit.analysis.load.made_kernel import START, THREAD, Event
from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.kernel.rows import KernelProcessRows, add_kernel
from tracekit.analysis.tables import check, records
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle

MAIN, WORKER, CHILD = 100, 101, 110
IDLE = 0
RUN = RunSpec(
    suite_id="s",
    run_id="r",
    workload="w",
    workload_target="w:W",
    size="smoke",
    model="threads",
    workers=2,
    capture="kernel",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a trace."""

    told: list[KernelProcessRows]
    columns: Columns

    def rows(self, table: str, *names: str) -> list[tuple[Any, ...]]:
        """These columns of every row; missing values are None. The frame is checked."""
        found = records(check(table, self.columns.frame(table)))
        return [tuple(None if pd.isna(row[name]) else row[name] for name in names) for row in found]


def load(folder: Path, *cpus: list[Event], window: Window | None = None, **other: Any) -> Loaded:
    bundle = Bundle(folder)
    made.write_trace(bundle.raw / "kernel", dict(enumerate(cpus)), **other)
    columns = Columns()
    return Loaded(add_kernel(bundle, RUN, window or Window(None, None), columns), columns)


def states(loaded: Loaded) -> list[tuple[Any, ...]]:
    return loaded.rows("sched", "tid", "state", "cpu", "start_ns", "dur_ns")


def main_and_worker(*between: Event) -> list[Event]:
    return [
        made.born(10, MAIN, START),
        made.born(20, WORKER, MAIN, THREAD),
        *between,
        made.ended(9_000, WORKER, b"worker"),
        made.ended(10_000, MAIN),
    ]
