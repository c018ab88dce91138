"""break_even_*: the task length and the number of tasks from which processes are faster than threads and serial.

For this workload's payload, with the walls of break_even_terms.py. Each round gives a number of its own; the number of
a cell is their geometric mean with its interval, as of other ratios of walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.estimate import Estimate, measured, unavailable
from tracekit.analysis.metrics.metric import EVERYWHERE, Metric
from tracekit.analysis.metrics.predict.break_even_terms import (
    LONGEST_NS,
    MOST_TASKS,
    NO_COSTS,
    BreakEvenTerms,
    find_task_count,
    find_task_length,
    limit_pool,
)
from tracekit.analysis.metrics.predict.prediction import NOT_BASE
from tracekit.analysis.metrics.predict.prediction import metric_name as prediction_name
from tracekit.analysis.metrics.rows import MetricRows
from tracekit.analysis.statistics.ratios import geometric_interval, geometric_mean


def compute(model: str, metric: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope cell."""
    name = metric_name(model, metric)
    rows = MetricRows(analysis, name, UNITS[metric])
    for cell in analysis.untraced_cells:
        terms = analysis.break_even_terms.get(cell.key)
        if terms is None:
            rows.add_cell(cell, NOT_BASE)
        else:
            rows.add_cell(cell, unavailable(terms) if isinstance(terms, str) else _pool(terms, model, metric))
    return rows.to_frame()


LENGTH, COUNT = "task_ns", "tasks"
PLAYED = "played through"
"""The method; also of a number that is unavailable because the answer is: never."""
UNITS = {LENGTH: "ns", COUNT: "count"}


def metric_name(model: str, metric: str) -> str:
    """`break_even_fork_task_ns`."""
    return f"break_even_{model}_{metric}"


def _pool(terms: Sequence[BreakEvenTerms], model: str, metric: str) -> Estimate:
    of_model = [item for item in terms if model in item.pools]
    if not of_model:
        return NO_COSTS
    find = find_task_length if metric == LENGTH else find_task_count
    found = [find(item, model) for item in of_model]
    never = sum(value is None for value in found)
    if never:
        whose = "task is long enough" if metric == LENGTH else "number of such tasks is large enough"
        if never < len(found):
            return unavailable(f"in {never} of {len(found)} rounds no {whose}: {_why(of_model, model, metric)}")
        return replace(unavailable(f"no {whose}: {_why(of_model, model, metric)}"), method=PLAYED)
    each = [value for value in found if value is not None]
    number = measured(geometric_mean(each), PLAYED, interval=geometric_interval(each), n=len(each))
    return replace(number, quality="estimated")


def _why(terms: Sequence[BreakEvenTerms], model: str, metric: str) -> str:
    limits = [
        limit_pool(item, model, tasks=item.tasks, task_ns=LONGEST_NS)
        if metric == LENGTH
        else limit_pool(item, model, tasks=MOST_TASKS, task_ns=item.task_ns)
        for item in terms
    ]
    threads = geometric_mean(item.threads for item in terms)
    return (
        f"processes would be at most {geometric_mean(limits):.2f}x as fast as one after another, and threads are "
        f"{threads:.2f}x"
    )


def _metric(model: str, metric: str) -> Metric:
    length = metric == LENGTH
    return Metric(
        name=metric_name(model, metric),
        unit=UNITS[metric],
        better="lower",
        needs=("runs", "spans", "waits", "pickles", "processes"),
        valid_on=EVERYWHERE,
        summary=(
            f"How long a task must be for {model} to be faster than threads and serial."
            if length
            else f"How many tasks there must be for {model} to be faster than threads and serial."
        ),
        method=(
            f"As {prediction_name(model)}, for equal tasks "
            + ("of any length, as many as there were." if length else "as long as the mean of those that there were.")
            + " Unavailable where a round says never. Geometric mean of the rounds; the interval is of the inputs."
        ),
        compute=partial(compute, model, metric),
        measured=False,
    )


FORK_LENGTH, FORK_COUNT = _metric("fork", LENGTH), _metric("fork", COUNT)
FORKSERVER_LENGTH, FORKSERVER_COUNT = _metric("forkserver", LENGTH), _metric("forkserver", COUNT)
SPAWN_LENGTH, SPAWN_COUNT = _metric("spawn", LENGTH), _metric("spawn", COUNT)
