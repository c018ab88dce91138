"""start-stop: nothing but starting workers and stopping them.

Shows: what a worker costs before it has done anything. The tasks do nothing, slowly enough that each asks for a worker
of its own.
Claim: creating a process costs time, creating a thread is economical; processes start quickly on Unix and slowly on
Windows.
A good answer: a thread within a millisecond, a forked process within some, a spawned one after 50 ms and more.
Depends on: concurrent.futures' executors, which start a worker when a task is handed out and nobody is free.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tracekit.workload import Workload

_S = 0.001


def make_items(tasks: int, seed: int) -> list[int]:
    """The tasks' numbers; the seed changes nothing."""
    return list(range(tasks))


def task(number: int) -> int:
    """Take a millisecond; returns the number."""
    time.sleep(_S)
    return number


def combine(results: Sequence[int]) -> str:
    """How many there were."""
    return str(len(results))


WORKLOAD = Workload(
    name="start-stop",
    summary="nothing but starting workers and stopping them",
    kind="io",
    sizes={"smoke": 8, "small": 16, "default": 32, "large": 128},
    make_items=make_items,
    task=task,
    combine=combine,
)
