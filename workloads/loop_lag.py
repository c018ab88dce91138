"""loop-lag: how late a heartbeat runs beside threads that compute.

Shows: how a thread that computes delays one that mostly waits, such as an event loop, a user interface or the
accepting thread of a server. The waiting thread wakes every few milliseconds and then has to wait for the GIL, which
the computing thread gives up only on request, after the switch interval of 5 ms.
Claim: threads are good for waiting; a thread that computes makes the others wait.
A good answer: alone (serial) and beside processes late by less than a millisecond; beside a computing thread late by
about the switch interval. With one worker nothing runs beside it.
Depends on: nothing but the interpreter. The first task is the heartbeat, the others compute.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Union

from tracekit.workload import Observable, Observation, Parameter, Workload

Item = tuple[str, int, float]
Result = Union[list[int], int]

_COMPUTING = 8
"""Tasks beside the heartbeat. They compute until after the last beat, which takes some 7 ms a beat where each is 5 ms
late."""


def make_items(beats: int, seed: int, *, period: float, rounds: int) -> list[Item]:
    """(`heartbeat`, beats, period in seconds), then the computing tasks; the seed changes nothing."""
    return [("heartbeat", beats, period / 1000)] + [("compute", rounds * beats // _COMPUTING, 0.0)] * _COMPUTING


def task(item: Item) -> Result:
    """The heartbeat returns the lateness of each beat in ns; computing returns a count."""
    what, number, period = item
    if what == "heartbeat":
        return [_late_by(period) for _ in range(number)]
    total = 0
    for step in range(number):
        total += step & 1
    return total


def _late_by(period: float) -> int:
    due = time.monotonic_ns() + round(1e9 * period)
    time.sleep(period)
    return time.monotonic_ns() - due


def combine(results: Sequence[Result]) -> str:
    """The number of beats, and the sum of all counts."""
    beats = sum(len(result) for result in results if isinstance(result, list))
    return f"{beats} {sum(result for result in results if isinstance(result, int))}"


def observe(results: Sequence[Result]) -> list[Observation]:
    """Median, 99th percentile and maximum of the lateness."""
    late = sorted(lag for result in results if isinstance(result, list) for lag in result)
    return [
        Observation("beat_late_ns", late[len(late) // 2]),
        Observation("beat_late_p99_ns", late[min(len(late) - 1, len(late) * 99 // 100)]),
        Observation("beat_late_longest_ns", late[-1]),
    ]


WORKLOAD = Workload(
    name="loop-lag",
    summary="a heartbeat beside threads that compute: how late an event loop runs",
    kind="mixed",
    sizes={"smoke": 10, "small": 30, "default": 80, "large": 800},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("period", 2.0, "time between two beats", unit="ms", least=0.1, most=10_000),
        Parameter("rounds", 300_000, "computing for each beat, in iterations of a loop", least=0, most=10**9),
    ),
    observe=observe,
    observables=(
        Observable("beat_late_ns", "ns", "lateness of a beat, median"),
        Observable("beat_late_p99_ns", "ns", "the same, 99th percentile"),
        Observable("beat_late_longest_ns", "ns", "the same, maximum"),
    ),
)
