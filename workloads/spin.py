"""spin: a pure Python counting loop. The control for what this machine's CPUs can give.

Shows: the ceiling. Its speed-up under processes is what any CPU-bound program could gain here: 2 CPUs that share a
core, or are taken away by other guests, give less than 2.
A good answer: threads 1.0, processes close to the number of CPUs.
Depends on: nothing but the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.workload import Workload


def make_items(rounds: int, seed: int) -> list[int]:
    """16 equal items; the seed changes nothing, a control must not vary."""
    return [rounds] * 16


def task(rounds: int) -> int:
    """Count in Python; returns the count."""
    total = 0
    for step in range(rounds):
        total += step & 1
    return total


def combine(results: Sequence[int]) -> str:
    """The sum of all counts."""
    return str(sum(results))


WORKLOAD = Workload(
    name="spin",
    summary="control: pure Python counting, shows what the CPUs can give",
    kind="cpu",
    sizes={"smoke": 50_000, "small": 200_000, "default": 700_000, "large": 4_000_000},
    make_items=make_items,
    task=task,
    combine=combine,
)
