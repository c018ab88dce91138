"""mixed: wait for an answer, then compute with it, as a service does.

Shows: how much of their waiting time threads can use for computing. While one thread waits another computes; two that
want to compute at once take turns. Processes do both at once.
Claim: threads are good for waiting and bad for computing; most programs do some of each.
A good answer: threads well below serial, and processes below threads, the more so the more is computed.
Depends on: nothing but the interpreter. The task waits for a socket of its own, on which nothing is sent, until the
time is over.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from tracekit.workload import Parameter, Workload

Item = tuple[int, int]

_ROUNDS_PER_MS = 20_000
"""Of the loop below, about, on a CPU of 2020."""


def make_items(rounds: int, seed: int, *, wait: float, compute: float) -> list[Item]:
    """16 * rounds items, each (microseconds to wait, rounds to compute); the seed changes nothing."""
    return [(round(1000 * wait), round(_ROUNDS_PER_MS * compute))] * (16 * rounds)


def task(item: Item) -> int:
    """Wait that long and compute that much; returns the result of the computation."""
    microseconds, rounds = item
    ours, theirs = socket.socketpair()
    with ours, theirs:
        select.select([ours], [], [], microseconds / 1e6)
    total = 0
    for step in range(rounds):
        total += step & 1
    return total


def combine(results: Sequence[int]) -> str:
    """The sum of all results."""
    return str(sum(results))


WORKLOAD = Workload(
    name="mixed",
    summary="waiting for a socket, then computing: some of each",
    kind="mixed",
    sizes={"smoke": 1, "small": 1, "default": 4, "large": 40},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("wait", 5.0, "how long a task waits", unit="ms", least=0, most=60_000),
        Parameter("compute", 5.0, "about how long it computes", unit="ms", least=0, most=60_000),
    ),
)
