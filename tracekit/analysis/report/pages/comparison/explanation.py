"""`tracekit explain`: one topic of what-if, in words and as a table, and how it is computed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.metrics.analysis import share_analysis
from tracekit.analysis.metrics.predict import break_even, prediction
from tracekit.analysis.metrics.predict.break_even_terms import NO_COSTS
from tracekit.analysis.metrics.predict.task_demand import BASE, NO_WARMUP
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.comparison import what_if
from tracekit.analysis.report.views import TableView
from tracekit.analysis.tables import Tables
from tracekit.bundle.names import UNTRACED
from tracekit.core.errors import NothingToDo, UsageError

NO_THREADS = "threads were not run, from which predictions are made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`metrics`: the rows of the metrics table that it is made of."""

    title: str
    sentences: tuple[str, ...]
    table: TableView
    how: str
    metrics: list[dict[str, Any]]


def explain(tables: Tables, topic: str) -> Explanation:
    """The topic's table for this suite. Raises UsageError for an unknown topic, NothingToDo where there is none."""
    if topic not in what_if.TOPICS:
        raise UsageError(f"unknown topic {topic!r}: known are {', '.join(what_if.TOPICS)}", "tracekit explain --help")
    analysis = share_analysis(tables)
    found = groups(tables)
    table = what_if.by_topic(analysis, found).get(topic)
    suite_id, workload = tables.suite.get("suite_id"), tables.suite.get("workload")
    if table is None:
        why = _why(found)
        again = why == NO_COSTS.reason or why in (NO_THREADS, NO_WARMUP)
        remedy = f"tracekit run {workload} --models threads" if again else f"tracekit report {suite_id}"
        raise NothingToDo(f"{suite_id} has nothing on {topic}: {why}", remedy)
    names = _metrics(topic)
    of_cells = tables.metrics[(tables.metrics["scope"] == "cell") & tables.metrics["metric"].isin(names)]
    # Without the controls, which the table is not about.
    of_cells = of_cells[(of_cells["workload"] == workload) & (of_cells["capture"] == UNTRACED)]
    known = of_cells[of_cells["quality"] != "unavailable"]
    return Explanation(
        title=table.title,
        sentences=what_if.sentences(analysis, found) if topic == what_if.BREAK_EVEN else (),
        table=table,
        how=what_if.HOW[topic],
        metrics=json.loads(known.to_json(orient="records", double_precision=15)),
    )


def _metrics(topic: str) -> list[str]:
    if topic == what_if.BREAK_EVEN:
        kinds = (break_even.LENGTH, break_even.COUNT)
        return [break_even.metric_name(model, kind) for kind in kinds for model in prediction.POOLS]
    if topic == what_if.PREDICTION:
        return [prediction.metric_name(model) for model in prediction.PREDICTED]
    return ["wall_ns", *(prediction.metric_name(model) for model in prediction.POOLS)]


def _why(found: Sequence[CellGroup]) -> str:
    """Why nothing could be predicted."""
    for group in found:
        for cell in group.cells:
            if cell.model == BASE:
                return cell.number(prediction.metric_name("fork")).reason or "nothing was predicted"
    return NO_THREADS
