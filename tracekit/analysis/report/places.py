"""The numbers of the processes and threads of one run, from the metrics table."""

from __future__ import annotations

from tracekit.analysis.report.cells import Number, trust
from tracekit.analysis.report.grouping import number_of
from tracekit.analysis.tables import Tables, records

Place = tuple[int | None, int | None]
"""(pid, tid); (pid, None) of a process, (None, None) of the run."""

Numbers = dict[str, Number]
"""By metric, each by its best method."""


def places_of(tables: Tables, run_id: str) -> dict[Place, Numbers]:
    """The numbers of every place of the run: the run first, then its processes, then its threads."""
    rows = tables.metrics[tables.metrics["run_id"] == run_id]
    found: dict[Place, Numbers] = {}
    for scope in ("run", "process", "thread"):
        for row in records(rows[rows["scope"] == scope]):
            place = (_whole(row["pid"]), _whole(row["tid"]))
            number = number_of(row)
            of_place = found.setdefault(place, {})
            before = of_place.get(number.metric)
            if before is None or trust(number) < trust(before):
                of_place[number.metric] = number
    return found


def number_at(numbers: Numbers, metric: str) -> Number:
    """That number, or an unavailable one."""
    return numbers.get(metric) or Number(metric=metric, reason="not recorded")


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
