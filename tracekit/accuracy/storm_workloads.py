"""Storms: workloads that do nothing but calls that the wait probe intercepts, its worst case.

Measured processes import this file like any workload. They are for `make accuracy` only and not listed for users.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tracekit.workload import Workload

_COUNTING, _COUNT = threading.Lock(), [0]
"""A counter that several threads increment, and its lock."""

_BALL = (threading.Lock(), threading.Lock())
"""Each lock is released by one player and acquired by the other; the second one is held at first."""


def make_turns(times: int, seed: int) -> list[int]:
    """Make 8 equal items; the seed is not used."""
    return [times // 8] * 8


def read(times: int) -> int:
    """Read one available byte again and again, without another thread."""
    source = os.open("/dev/zero", os.O_RDONLY)
    try:
        own = os.read
        for _ in range(times):
            own(source, 1)
    finally:
        os.close(source)
    return times


def take(times: int) -> int:
    """Acquire and release an uncontended lock."""
    lock = threading.Lock()
    for _ in range(times):
        lock.acquire()
        lock.release()
    return times


def make_counters(times: int, seed: int) -> list[int]:
    """Make 2 equal items; the seed is not used."""
    return [times // 2] * 2


def count(times: int) -> int:
    """Increment a shared counter under its lock; the GIL is sometimes handed over while the lock is held."""
    lock, counted = _COUNTING, _COUNT
    for _ in range(times):
        with lock:
            counted[0] += 1
    return times


def make_players(turns: int, seed: int) -> list[tuple[int, int]]:
    """Make two items: the player's number and its turns."""
    _BALL[1].acquire()
    return [(0, turns), (1, turns)]


def play(item: tuple[int, int]) -> int:
    """Acquire the own lock and release the other's: every turn waits for a lock and for the GIL."""
    player, turns = item
    mine, yours = _BALL[player], _BALL[1 - player]
    for _ in range(turns):
        mine.acquire()
        yours.release()
    return turns


def combine(results: Sequence[int]) -> str:
    """The sum of all items, as text."""
    return str(sum(results))


READ = Workload(
    name="read-storm",
    summary="os.read of available bytes",
    kind="io",
    sizes={"small": 40_000, "default": 800_000},
    make_items=make_turns,
    task=read,
    combine=combine,
)
LOCK = Workload(
    name="lock-storm",
    summary="a free lock acquired and released",
    kind="cpu",
    sizes={"small": 80_000, "default": 4_000_000},
    make_items=make_turns,
    task=take,
    combine=combine,
)
SHARED_LOCK = Workload(
    name="shared-lock-storm",
    summary="two threads that acquire one lock per increment",
    kind="cpu",
    sizes={"small": 80_000, "default": 3_000_000},
    make_items=make_counters,
    task=count,
    combine=combine,
)
HANDOVER = Workload(
    name="handover-storm",
    summary="two threads that hand a lock back and forth",
    kind="mixed",
    sizes={"small": 500, "default": 20_000},
    make_items=make_players,
    task=play,
    combine=combine,
)
