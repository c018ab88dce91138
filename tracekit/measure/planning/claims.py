"""The suite `claims`: the experiments that put common claims about threads and processes to the test.

report/pages/claims judges the claims by the numbers of these runs alone.
"""

from __future__ import annotations

from typing import Any

from tracekit.bundle.names import START_METHODS, THREADS, UNTRACED
from tracekit.measure.planning.request import Request


def _experiment(workload: str, models: tuple[str, ...], **settings: Any) -> Request:
    """Untraced, once, under two workers where `settings` say nothing else; five runs give an interval of the median."""
    usual: dict[str, Any] = {"workers": (2,), "runs": 1, "warmup": 0, "captures": (UNTRACED,), "controls": False}
    return Request(workload=workload, models=models, **{**usual, **settings})


EXPERIMENTS = (
    _experiment("shared-state", (THREADS, *START_METHODS), size="small"),
    _experiment("race", (THREADS,), size="small", parameters={"lock": "no"}, runs=5),
    _experiment("race", (THREADS,), size="smoke", parameters={"lock": "yes"}, runs=5),
    _experiment("big-results", (THREADS, "fork"), runs=5),
    Request(workload="start-stop", size="small", warmup=0, captures=(UNTRACED,)),
    _experiment("skewed-tasks", ("fork",), parameters={"chunksize": "32"}, runs=5),
    _experiment("skewed-tasks", ("fork",), parameters={"chunksize": "1"}, runs=5),
    Request(workload="footprint", size="smoke", runs=1),
    Request(workload="crash"),
)
