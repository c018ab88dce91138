"""spawn_<stage>_ns: what a worker costs stage by stage, from the request to start it until it is joined.

A start is a chain of stamps on one clock (table `starts`), and a stage is what lies between two neighbours, named after
what is reached at its end. What tracekit itself does in the worker, `recording`, at its beginning and at its end, is no
cost of other programs: it is shown and left out of the sum. All other stages of a start sum to its life, from request
to join, exactly. Which stages there are depends on how the worker is made; one that a start does not have is absent.

    a thread             bootstrap  task  result  join
    fork                 fork  bootstrap  recording  task  result  stop  recording  exit  join
    spawn                exec  image  interpreter  site  imports  main  unpickle  bootstrap  recording ...
    forkserver, later    fork  imports  main  unpickle  bootstrap  recording ...
    forkserver, first    exec  image  interpreter  site  fork  imports  main  unpickle  bootstrap  recording ...

The first start under forkserver waits for the server: its image, interpreter and site are the server's. Without the
stage probe, the stages that it stamps and the one after them are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.statistics import bootstrap
from tracekit.analysis.tables import from_rows

STAGES = {
    "exec": "until the new process calls exec",
    "image": "until the loader is done with the new process image",
    "interpreter": "until Python is initialised, before site",
    "site": "until site is imported and the program begins",
    "fork": "until the fork has returned in the child",
    "imports": "until multiprocessing is imported and knows what to do",
    "main": "until the main module is imported again",
    "unpickle": "until the process object and its target are unpickled",
    "bootstrap": "until the first instruction of the worker's own code",
    "recording": "at the worker's beginning and end, its own records",
    "task": "until the first instruction of the task",
    "result": "until the parent has the first result",
    "stop": "until the worker's own code has ended",
    "exit": "until Python is taken down and the process leaves",
    "join": "until the parent has joined it",
}
RECORDING = "recording"
LIFE = "life"
"""From the request until the worker is joined, without `recording`: the sum of the other stages."""
CALL = "call"
"""How long the call that starts a worker keeps the parent; it runs beside the stages."""
READY = "ready"
"""From the request to the first instruction of the worker's own code: the sum of the stages up to `bootstrap`."""
PARTS = (*STAGES, LIFE, CALL, READY)

_QUANTILES = ("p50", "p95")
_NO_END = "no interval: starts that are drawn anew are never longer than the longest one, so its upper end would be low"

_ENDS = {
    "exec_ns": "exec",
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
    "recorded_ns": "recording",
    "exit_ns": "exit",
    "joined_ns": "join",
}
_AFTER_RESULT = ("done_ns", "recorded_ns", "exit_ns")
"""Of the worker's end only what comes after the parent has the result is the parent's to wait for."""
_NEW_IMAGE, _FORKED = frozenset({"exec", "image", "interpreter", "site"}), frozenset({"fork"})

UNWATCHED = unavailable("only capture `stages` records it")

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Lengths = Mapping[str, "int | None"]
"""Stage, LIFE, CALL or READY -> ns; None where it is not known. A stage that the start does not have is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedStart:
    """One start of a worker: whether it was the first of its process, and the lengths of its stages."""

    cold: bool
    lengths: Lengths


def metric_name(part: str, *, cold: bool, of: str = "") -> str:
    """`spawn_image_ns`, `spawn_cold_life_p95_ns`; `of` is empty for the mean of the middle half, else a quantile."""
    return f"spawn_{'cold_' if cold else ''}{part}{f'_{of}' if of else ''}_ns"


def measure_stages(row: Mapping[str, Any], probed: frozenset[str]) -> dict[str, int | None]:
    """The stages of one row of `starts`, in ns; `probed` are those of its beginning that only the stage probe can tell.

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
    lengths: dict[str, int | None] = {}
    for name, column in ((CALL, "returned_ns"), (READY, "first_instruction_ns")):
        if row[column] is not None:
            lengths[name] = row[column] - first
    blind = not probed <= {stage for _, stage in stamps}
    lengths.update(dict.fromkeys(probed if blind else ()))
    before = first
    for at, stage in stamps:
        lengths[stage] = None if blind else (lengths.get(stage) or 0) + at - before
        blind = blind and stage in probed
        before = at
    if probed and row["exit_ns"] is None:
        lengths.update({"exit": None, "join": None})
    return {**lengths, LIFE: last - first - (lengths.get(RECORDING) or 0)}


def follow_starts(analysis: Analysis) -> dict[str, tuple[StagedStart, ...]]:
    """By run: its starts that were followed from request to join, in order."""
    methods = {run["run_id"]: run["start_method"] or "" for run in analysis.usable_runs}
    found: dict[str, list[StagedStart]] = {}
    for row in analysis.worker_starts:
        method = methods.get(row["run_id"])
        if method is not None:
            cold = row["worker"] == 0
            lengths = measure_stages(row, _probed(method, cold=cold))
            if lengths:
                found.setdefault(row["run_id"], []).append(StagedStart(cold=cold, lengths=lengths))
    return {run_id: tuple(starts) for run_id, starts in found.items()}


def _probed(method: str, *, cold: bool) -> frozenset[str]:
    if method == "fork" or (method == "forkserver" and not cold):
        return _FORKED
    if method == "forkserver":
        return _NEW_IMAGE | _FORKED
    return _NEW_IMAGE if method else frozenset()


def compute(analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell, where workers were followed from request to join."""
    starts = follow_starts(analysis)
    names = [
        metric_name(part, cold=cold, of=of) for cold in (False, True) for part in PARTS for of in ("", *_QUANTILES)
    ]
    rows = {name: MetricRows(analysis, name, "ns") for name in names}
    for run in analysis.usable_runs:
        for name, estimate in _estimates([starts.get(run["run_id"], ())]).items():
            rows[name].add_run(run, estimate)
    for cell in analysis.lightly_traced_cells:
        for name, estimate in _estimates([starts.get(run_id, ()) for run_id in cell.runs]).items():
            rows[name].add_cell(cell, estimate)
    return from_rows("metrics", [row for of_name in rows.values() for row in of_name.rows])


def _estimates(of_runs: Sequence[Sequence[StagedStart]]) -> dict[str, Estimate]:
    """Metric -> its estimate from the starts of these runs."""
    found: dict[str, Estimate] = {}
    for cold in (False, True):
        chosen = [[start.lengths for start in starts if start.cold == cold] for starts in of_runs]
        # One that the stage probe missed, among others that it saw, is left out.
        whole = [[lengths for lengths in of_run if None not in lengths.values()] for of_run in chosen]
        groups = [of_run for of_run in (whole if any(whole) else chosen) if of_run]
        if groups:
            found.update(_of_starts(groups, cold=cold))
    return found


def _of_starts(groups: Sequence[Sequence[Lengths]], *, cold: bool) -> dict[str, Estimate]:
    kinds = [lengths for of_run in groups for lengths in of_run]
    equal = len({len(of_run) for of_run in groups}) == 1
    # A run of which a start was left out counts as so many runs of one.
    shape = (len(groups), -1) if equal else (len(kinds), 1)
    lives = np.array([lengths[LIFE] for lengths in kinds], dtype=np.float64)
    drawn = bootstrap.drawn_groups(np.arange(len(kinds)).reshape(shape))
    middle, middles = _middle(lives, np.arange(len(kinds))), _middle(lives, drawn)
    found: dict[str, Estimate] = {}
    for part in PARTS:
        if not any(part in lengths for lengths in kinds):
            continue
        values = [lengths.get(part, 0) for lengths in kinds]
        if None in values:
            found.update({metric_name(part, cold=cold, of=of): UNWATCHED for of in ("", *_QUANTILES)})
            continue
        array = np.array(values, dtype=np.float64)
        numbers = {
            "": (array[middle].mean(), array[middles].mean(axis=-1)),
            "p50": (np.median(array), np.median(array[drawn], axis=-1)),
        }
        for of, (value, resampled) in numbers.items():
            interval = None if len(kinds) == 1 else bootstrap.expanded_interval(resampled, shape[0])
            name = metric_name(part, cold=cold, of=of)
            found[name] = measured(float(value), "stamps", interval=interval, n=len(kinds))
        found[metric_name(part, cold=cold, of="p95")] = measured(
            float(np.quantile(array, 0.95)), "stamps", interval=(np.nan, np.nan), n=len(kinds), reason=_NO_END
        )
    return found


def _middle(lives: Floats, drawn: Indices) -> Indices:
    """Of each line of `drawn`, indices into `lives`, those in the middle half by length of life."""
    order = np.argsort(lives[drawn], axis=-1, kind="stable")
    cut = drawn.shape[-1] // 4
    kept: Indices = np.take_along_axis(drawn, order, axis=-1)[..., cut : drawn.shape[-1] - cut]
    return kept


METRIC = Metric(
    name="spawn_stages",
    unit="ns",
    better="lower",
    needs=("starts",),
    valid_on=EVERYWHERE,
    summary=(
        "What a worker costs stage by stage, from asking for it until it is joined. Each stage is a metric of its own: "
        "`spawn_<stage>_ns` of later starts, `spawn_cold_<stage>_ns` of the first one of a process, with `_p50` or "
        "`_p95` before the unit the quantiles. Stages: "
        + "; ".join(f"`{name}` {text}" for name, text in STAGES.items())
        + ". `life` is the sum of all but `recording`, from the request until the worker is joined; `call` is how long "
        "the call that starts it keeps the parent, `ready` from the request to the worker's first instruction."
    ),
    method=(
        "What lies between two stamps on one clock, of the parent, the worker and the stage probe. Mean over the "
        "starts that are the middle half by length of life: outliers are out, as of a median, and the stages sum to "
        "the life, as medians do not. Interval by drawing runs anew, as the starts of one have much in common, "
        "expanded for few runs; a 95th percentile has none. Only where "
        "workers start and end one by one, as in `start-stop`. `recording` is tracekit's own work, which no other "
        "program pays. A stage that a start does not have is absent."
    ),
    compute=compute,
)
