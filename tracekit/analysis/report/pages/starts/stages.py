"""The stages of starts: the cells whose workers were followed from request to join, and their numbers as a file."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tracekit.analysis.metrics.startup.stages import CALL, LIFE, READY, STAGES, metric_name
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.render.tabular import encode_csv
from tracekit.bundle.names import STAGES as PROBE
from tracekit.bundle.names import split_capture

TITLES = {
    "exec": "request",
    "image": "process image",
    "interpreter": "interpreter",
    "site": "site",
    "fork": "fork",
    "imports": "imports",
    "main": "main module",
    "unpickle": "unpickling",
    "bootstrap": "bootstrap",
    "recording": "tracekit itself, not in the sum",
    "task": "to the task",
    "result": "to the result",
    "stop": "stop",
    "exit": "exit",
    "join": "join",
}
"""Stage -> its name in the report."""


def later_start(cell: ReportCell) -> Number:
    """The time from request to join of a start that is not the first of its run."""
    return cell.number(metric_name(LIFE, cold=False))


def staged_cell(cell: ReportCell) -> ReportCell:
    """The cell whose stages are all known: its twin under the stage probe, else the cell itself."""
    with_probe = [twin for twin in cell.twins if PROBE in split_capture(twin.capture) and later_start(twin).available]
    return with_probe[0] if with_probe else cell


def started_cells(group: CellGroup) -> tuple[ReportCell, ...]:
    """The cells whose workers were followed from request to join, in reading order."""
    known = [cell for cell in group.cells if later_start(staged_cell(cell)).available]
    return tuple(sorted(known, key=lambda cell: cell.order))


def varying_parameters(cells: Sequence[ReportCell]) -> dict[ReportCell, str]:
    """Cell -> its parameters that differ from cell to cell: `parent_mb=100`; empty where all are alike."""
    own = {cell: cell.parameters.split(" ") for cell in cells}
    common = set.intersection(*map(set, own.values())) if own else set()
    return {cell: " ".join(word for word in words if word not in common) for cell, words in own.items()}


def stages_csv(groups: Sequence[CellGroup]) -> str:
    """A line per interpreter, model, kind of start and stage."""
    rows = [
        {
            "os": group.os,
            "python": group.python,
            "model": cell.model,
            "parameters": cell.parameters,
            "start": "first" if cold else "later",
            "stage": name,
            "mean_ns": number.value,
            "lower_ns": number.lower,
            "upper_ns": number.upper,
            **{f"{of}_ns": cell.number(metric_name(name, cold=cold, of=of)).value for of in ("p50", "p95")},
            "n": number.n,
        }
        for group in groups
        for cell in map(staged_cell, started_cells(group))
        for cold in (False, True)
        for name in (*STAGES, LIFE, CALL, READY)
        if (number := cell.number(metric_name(name, cold=cold))).available
    ]
    return encode_csv(pd.DataFrame(rows))
