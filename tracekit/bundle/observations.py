"""Observations: the columns by which what a workload observes about itself is told apart, and its name as a metric.

The measured process writes one record per observation, with a key per dimension; `load` makes the table `observations`
of them. Both wings, the documentation and the workloads take the names from here.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Mapping

DIMENSIONS = {
    "pool": "the class that starts the workers: `Process`, `ProcessPoolExecutor`",
    "start_method": "how the workers are started: `threads`, `fork`, `spawn`",
    "phase": "when it was observed: `up`, `collected`",
    "channel": "what carries the data: `pipe`, `queue`",
    "size": "bytes of a message, or number of workers",
    "case": "anything else that it depends on: the fault `sigkill`, the limit `nofile`",
}
"""Dimension -> its meaning and examples. `size` is an integer, all others are text."""

OBSERVED = "observed"


def metric_name(what: str, dimensions: Mapping[str, object]) -> str:
    """The metric of an observation: `observed.pipe.1024.round_trip_p50_ns`, the dimensions in the order above.

    This is for tables that have one column for the metric, such as metrics.csv. Nothing parses it: the table
    `observations` has the columns.
    """
    given = [str(dimensions[name]) for name in DIMENSIONS if dimensions.get(name) not in (None, "")]
    return ".".join([OBSERVED, *given, what])
