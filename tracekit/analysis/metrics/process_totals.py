"""Totals over the measured processes of a run: complete, or not given at all."""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.rows import Place
from tracekit.analysis.tables import Tables, records

MEASURED_ROLES = ("main", "worker")


def totals(
    tables: Tables, found: pd.DataFrame, *, missing: str, method: str | None = None
) -> tuple[dict[str, Estimate], dict[Place, Estimate]]:
    """Per run and per process, from one row per process (run_id, pid, source, value).

    A run's total is only given when each of its main and worker processes has a value: a sum that silently
    lacks a worker would be the most flattering number of the report. `missing` says why there may be none at
    all; `method` is the counters' source unless given.
    """
    known: dict[tuple[str, int], tuple[float, str]] = {}
    for row in records(found):
        if row["value"] is not None:
            known[row["run_id"], row["pid"]] = (row["value"], method or row["source"] or "counter")
    places: dict[Place, Estimate] = {}
    by_run: dict[str, list[tuple[str, int]]] = {}
    for process in records(tables.processes):
        if process["role"] in MEASURED_ROLES:
            by_run.setdefault(process["run_id"], []).append((process["run_id"], process["pid"]))
    runs: dict[str, Estimate] = {}
    for run_id, processes in by_run.items():
        lacking = [place[1] for place in processes if place not in known]
        for place in processes:
            places[place] = measured(*known[place]) if place in known else unavailable(missing)
        if len(lacking) == len(processes):
            runs[run_id] = unavailable(missing)
        elif lacking:
            runs[run_id] = unavailable(f"{len(lacking)} of {len(processes)} processes gave no reading")
        else:
            methods = " + ".join(sorted({known[place][1] for place in processes}))
            runs[run_id] = measured(sum(known[place][0] for place in processes), methods, n=len(processes))
    return runs, places
