"""tiny-tasks: thousands of tasks that do next to nothing.

Shows: the cost of handing out a task and of getting its result back. The tasks do nothing else: where a model takes
longer than serial, a task must be longer by that much before the model pays.
Claim: workers cost something for every task, not only when they start; processes more than threads.
A good answer: serial wins, threads are slower by some 20 µs a task, processes by some 100 µs.
Depends on: concurrent.futures' executors, which hand out one task at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.workload import Workload


def make_items(tasks: int, seed: int) -> list[int]:
    """That many small numbers."""
    return [(seed + index) % 1000 for index in range(tasks)]


def task(number: int) -> int:
    """The square."""
    return number * number


def combine(results: Sequence[int]) -> str:
    """The sum of the squares."""
    return str(sum(results))


WORKLOAD = Workload(
    name="tiny-tasks",
    summary="thousands of tasks that do nothing: the cost of handing them out",
    kind="cpu",
    sizes={"smoke": 100, "small": 500, "default": 3_000, "large": 30_000},
    make_items=make_items,
    task=task,
    combine=combine,
)
