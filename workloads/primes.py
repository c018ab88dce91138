"""primes: counting primes by trial division in pure Python, in tasks that do not all take equally long.

Shows: work that holds the GIL all the time and cannot be cut into equal pieces: how long a range takes depends on how
many primes are in it, since only these are divided to the end.
Claim: threads of one process take turns where Python code computes, processes do not.
A good answer: threads at 2 workers as slow as serial; processes near the ceiling, their load balance a little below 1.
Depends on: nothing but the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.workload import Workload

Item = tuple[int, int]

_FIRST = 10_000_019


def make_items(numbers: int, seed: int) -> list[Item]:
    """16 consecutive ranges of odd numbers, each (first, count); the seed decides where they begin."""
    return [(_FIRST + 2 * numbers * (16 * seed + index), numbers) for index in range(16)]


def task(item: Item) -> int:
    """The number of primes in a range of odd numbers."""
    first, numbers = item
    return sum(_is_prime(number) for number in range(first, first + 2 * numbers, 2))


def _is_prime(odd: int) -> bool:
    divisor = 3
    while divisor * divisor <= odd:
        if odd % divisor == 0:
            return False
        divisor += 2
    return True


def combine(results: Sequence[int]) -> str:
    """The primes of each range."""
    return " ".join(map(str, results))


WORKLOAD = Workload(
    name="primes",
    summary="counting primes in pure Python, tasks of unequal length: holds the GIL all the time",
    kind="cpu",
    sizes={"smoke": 10, "small": 200, "default": 1_500, "large": 12_000},
    make_items=make_items,
    task=task,
    combine=combine,
)
