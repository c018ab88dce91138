"""What a worker costs stage by stage, from asking for it until it is joined.

A start is a chain of stamps on one clock (table `starts`), and a stage is what lies between two neighbours, named after
what is reached at its end: the stages of a start sum to its life, from request to join, exactly. Which stages there are
depends on how the worker is made; one that a start does not have is absent.

    a thread             bootstrap  task  result  join
    fork                 fork  bootstrap  recording  task  result  stop  recording  join
    spawn                image  interpreter  site  imports  main  unpickle  bootstrap  recording ...
    forkserver, later    fork  imports  main  unpickle  bootstrap  recording ...
    forkserver, first    image  interpreter  site  fork  imports  main  unpickle  bootstrap  recording ...

The first start under forkserver waits for the server: its image, interpreter and site are the server's. `recording` is
tracekit's own doing in the worker, at its beginning and at its end: no program without tracekit pays it. Where the
stage probe did not watch, what it would have seen, and the stage after that, is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.metrics import bootstrap
from tracekit.metrics.cells import records, told_cells, usable_runs
from tracekit.metrics.estimate import Estimate, measured, unavailable
from tracekit.metrics.metric import EVERYWHERE, Metric
from tracekit.metrics.once import once
from tracekit.metrics.rows import Rows
from tracekit.tables import Tables, from_rows

STAGES = {
    "image": "until the loader is done with the new process image",
    "interpreter": "until Python is initialised, but for `site`",
    "site": "until `site` is imported and the program begins",
    "fork": "until the fork has returned in the child",
    "imports": "until multiprocessing is imported and knows what to do",
    "main": "until the main module is imported again",
    "unpickle": "until the process object and its target are unpickled",
    "bootstrap": "until the first instruction of the worker's own code",
    "recording": "tracekit's own records, at the worker's beginning and end",
    "task": "until the first instruction of the task",
    "result": "until the parent has the first result",
    "stop": "until the worker's own code has ended",
    "join": "until the parent has joined it",
}
LIFE = "life"
"""From the request until the worker is joined: the sum of the stages."""
CALL = "call"
"""How long the call that starts a worker keeps the parent; it runs beside the stages."""

_ENDS = {
    "image_ns": "image",
    "interpreter_ns": "interpreter",
    "site_ns": "site",
    "forked_ns": "fork",
    "main_begun_ns": "imports",
    "main_imported_ns": "main",
    "unpickled_ns": "unpickle",
    "first_instruction_ns": "bootstrap",
    "recording_ns": "recording",
    "first_task_ns": "task",
    "result_ns": "result",
    "done_ns": "stop",
    "exit_ns": "recording",
    "joined_ns": "join",
}
_AFTER_RESULT = ("done_ns", "exit_ns")
"""Of the worker's end only what comes after the parent has the result is the parent's to wait for."""
_NEW_IMAGE, _FORKED = frozenset({"image", "interpreter", "site"}), frozenset({"fork"})

UNWATCHED = unavailable("where it begins is known to capture `stages` only")

Lengths = Mapping[str, "int | None"]
"""Stage, LIFE or CALL -> ns; None where it cannot be told. A stage that the start does not have is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start: whether it was the first of its process, and its stages."""

    cold: bool
    lengths: Lengths


def metric_name(part: str, *, cold: bool, p95: bool = False) -> str:
    """`spawn_image_ns`, `spawn_cold_life_p95_ns`."""
    return f"spawn_{'cold_' if cold else ''}{part}{'_p95' if p95 else ''}_ns"


def lengths_of(row: Mapping[str, Any], probed: frozenset[str]) -> dict[str, int | None]:
    """The stages of one row of `starts`, in ns; `probed` are those that only the stage probe can tell.

    Empty for a start that was not followed from request to join, or whose stamps contradict one another.
    """
    first, last, had = row["requested_ns"], row["joined_ns"], row["result_ns"]
    if first is None or last is None or had is None:
        return {}
    stamps = [(row[column], stage) for column, stage in _ENDS.items() if row[column] is not None]
    late = {stage for column, stage in _ENDS.items() if column in _AFTER_RESULT}
    task = row["first_task_ns"] or first
    stamps = [(max(at, had) if stage in late and at >= task else at, stage) for at, stage in stamps]
    # Stable: stamps that are one moment keep the order of _ENDS.
    stamps.sort(key=lambda stamp: stamp[0])
    if stamps[0][0] < first or stamps[-1][0] != last:
        return {}
    lengths: dict[str, int | None] = {LIFE: last - first}
    if row["returned_ns"] is not None:
        lengths[CALL] = row["returned_ns"] - first
    blind = not probed <= {stage for _, stage in stamps}
    lengths.update(dict.fromkeys(probed if blind else ()))
    before = first
    for at, stage in stamps:
        lengths[stage] = None if blind else (lengths.get(stage) or 0) + at - before
        blind = blind and stage in probed
        before = at
    return lengths


@once
def starts_of(tables: Tables) -> dict[str, tuple[Start, ...]]:
    """By run: its starts that were followed from request to join, in order."""
    methods = {run["run_id"]: run["start_method"] or "" for run in usable_runs(tables)}
    found: dict[str, list[Start]] = {}
    for row in records(tables.starts):
        method = methods.get(row["run_id"])
        if method is not None:
            cold = row["worker"] == 0
            lengths = lengths_of(row, _probed(method, cold=cold))
            if lengths:
                found.setdefault(row["run_id"], []).append(Start(cold=cold, lengths=lengths))
    return {run_id: tuple(starts) for run_id, starts in found.items()}


def _probed(method: str, *, cold: bool) -> frozenset[str]:
    if method == "fork" or (method == "forkserver" and not cold):
        return _FORKED
    if method == "forkserver":
        return _NEW_IMAGE | _FORKED
    return _NEW_IMAGE if method else frozenset()


def compute(tables: Tables) -> pd.DataFrame:
    """Rows of scope run and cell, where workers were followed from request to join."""
    starts = starts_of(tables)
    rows: list[dict[str, Any]] = []
    for cold in (False, True):
        for part in (*STAGES, LIFE, CALL):
            chosen = {run_id: _chosen(of_run, part, cold=cold) for run_id, of_run in starts.items()}
            having = {run_id: values for run_id, values in chosen.items() if values}
            if having:
                rows += _of_part(tables, part, having, cold=cold)
    return from_rows("metrics", rows)


def _chosen(starts: Sequence[Start], part: str, *, cold: bool) -> list[int | None]:
    return [start.lengths[part] for start in starts if start.cold == cold and part in start.lengths]


def _of_part(tables: Tables, part: str, having: Mapping[str, list[int | None]], *, cold: bool) -> list[dict[str, Any]]:
    median = Rows(tables, metric_name(part, cold=cold), "ns")
    p95 = Rows(tables, metric_name(part, cold=cold, p95=True), "ns")
    for run in usable_runs(tables):
        if run["run_id"] in having:
            median.run(run, _quantile([having[run["run_id"]]], 0.5))
    for cell in told_cells(tables):
        of_runs = [having[run_id] for run_id in cell.runs if run_id in having]
        if of_runs:
            median.cell(cell, _quantile(of_runs, 0.5))
            p95.cell(cell, _quantile(of_runs, 0.95))
    return median.rows + p95.rows


def _quantile(of_runs: Sequence[Sequence[int | None]], quantile: float) -> Estimate:
    """Of all starts of these runs. The interval is by drawing runs anew: the starts of one have much in common."""
    groups = [[float(value) for value in of_run if value is not None] for of_run in of_runs]
    groups = [group for group in groups if group]
    if not groups:
        return UNWATCHED
    known = [value for group in groups for value in group]
    value = float(np.quantile(known, quantile))
    if len(known) == 1:
        return measured(value, "stamps")
    return measured(value, "stamps", interval=bootstrap.quantile_interval(groups, quantile), n=len(known))


METRIC = Metric(
    name="spawn_stages",
    unit="ns",
    better="lower",
    needs=("starts",),
    valid_on=EVERYWHERE,
    summary="What a worker costs stage by stage, from asking for it until it is joined. Each stage is a metric of its "
    "own: `spawn_<stage>_ns` of later starts, `spawn_cold_<stage>_ns` of the first one of a process, with `_p95` before "
    "the unit the 95th percentile. Stages: "
    + "; ".join(f"`{name}` {text}" for name, text in STAGES.items())
    + ". `life` is their sum, from the request until the worker is joined; `call` is how long the call that starts it "
    "keeps the parent.",
    method="What lies between two stamps on one clock, of the parent, the worker and the stage probe. The stages of one "
    "start sum to its life exactly; medians need not. Only where workers start and end one by one, as in `start-stop`. "
    "Median of all starts of the cell, interval by drawing runs anew. `recording` is tracekit's own doing. A stage that a "
    "start does not have is absent.",
    compute=compute,
)
