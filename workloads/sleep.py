"""sleep: nothing but waiting. The control for work that needs no CPU and no GIL.

Shows: the ceiling for waiting. Any model with 2 workers halves the wall, threads as well, since a sleeping thread does
not hold the GIL.
A good answer: close to the number of workers under every model; what processes lack is the cost of starting them.
Depends on: nothing but the interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tracekit.workload import Workload


def make_items(milliseconds: int, seed: int) -> list[int]:
    """16 equal items; the seed changes nothing, a control must not vary."""
    return [milliseconds] * 16


def task(milliseconds: int) -> int:
    """Sleep that long; returns the milliseconds."""
    time.sleep(milliseconds / 1000)
    return milliseconds


def combine(results: Sequence[int]) -> str:
    """The sum of the milliseconds."""
    return str(sum(results))


WORKLOAD = Workload(
    name="sleep",
    summary="control: pure waiting, needs neither CPU nor GIL",
    kind="io",
    sizes={"smoke": 5, "small": 15, "default": 30, "large": 250},
    make_items=make_items,
    task=task,
    combine=combine,
)
