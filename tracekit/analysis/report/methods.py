"""How each number was obtained, in the words of the metric itself."""

from __future__ import annotations

from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import load_metric
from tracekit.analysis.report.cells import CellGroup
from tracekit.analysis.report.ledger import PARTS
from tracekit.analysis.report.views import MethodView

FIRST = (
    "wall_ns",
    "speedup",
    "ceiling_share",
    "gil_wait_ns",
    "gil_wait_share",
    "spawn_first_instruction_ns",
    "teardown_ns",
    "cpu_ns",
    "probe_effect",
)
"""What the tables show; the rest is for whoever wants to know more."""

OF_PROGRAMS = (
    "wall_ns",
    "cpu_ns",
    "gil_wait_ns",
    "gil_wait_share",
    *PARTS,
    "voluntary_switches",
    "involuntary_switches",
)
"""The same of a recorded program."""


def methods(groups: tuple[CellGroup, ...], first: tuple[str, ...] = FIRST) -> tuple[MethodView, ...]:
    """One entry per metric of the suite, in the order of the metrics table. `first` are those that a reader met.

    A metric that is not registered (its rows came from elsewhere) has only the methods its rows name.
    """
    used: dict[str, dict[str, None]] = {}
    for group in groups:
        for cell in (*group.cells, *group.traced, *group.controls):
            for number in cell.every:
                names = used.setdefault(number.metric, {})
                if number.method:
                    names[number.method] = None
    return tuple(_view(metric, list(names), first=metric in first) for metric, names in used.items())


def _view(metric: str, names: list[str], *, first: bool) -> MethodView:
    if metric not in METRICS:
        return MethodView(metric=metric, summary="", method="", here="; ".join(names), first=first)
    known = load_metric(metric)
    return MethodView(
        metric=metric,
        summary=known.summary,
        method=known.method,
        here="; ".join(names),
        first=first,
    )
