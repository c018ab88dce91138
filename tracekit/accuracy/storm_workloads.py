"""Storms: work that does nothing but what the wait probe looks at, the worst that it can meet.

Imported by measured processes, like any workload. No user is offered them: they are for `make accuracy`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tracekit.workload import Workload

_COUNTING, _COUNT = threading.Lock(), [0]
"""A number that several threads count up, and its lock."""

_BALL = (threading.Lock(), threading.Lock())
"""Each is given by one player and taken by the other. Held at first but for the one that the first player takes."""


def make_turns(times: int, seed: int) -> list[int]:
    """8 equal items; the seed changes nothing."""
    return [times // 8] * 8


def read(times: int) -> int:
    """os.read of one byte that is always there, in a thread alone."""
    source = os.open("/dev/zero", os.O_RDONLY)
    try:
        own = os.read
        for _ in range(times):
            own(source, 1)
    finally:
        os.close(source)
    return times


def take(times: int) -> int:
    """A lock that nobody else wants, taken and given."""
    lock = threading.Lock()
    for _ in range(times):
        lock.acquire()
        lock.release()
    return times


def make_counters(times: int, seed: int) -> list[int]:
    """2 equal items; the seed changes nothing."""
    return [times // 2] * 2


def count(times: int) -> int:
    """Count up what another thread counts up as well, as programs do. The GIL now and then changes hands inside."""
    lock, count_switches = _COUNTING, _COUNT
    for _ in range(times):
        with lock:
            count_switches[0] += 1
    return times


def make_players(turns: int, seed: int) -> list[tuple[int, int]]:
    """Two items: the player's number and its turns."""
    _BALL[1].acquire()
    return [(0, turns), (1, turns)]


def play(item: tuple[int, int]) -> int:
    """Wait for one's own lock, give the other's: every turn is a wait for a lock and one for the GIL."""
    player, turns = item
    mine, yours = _BALL[player], _BALL[1 - player]
    for _ in range(turns):
        mine.acquire()
        yours.release()
    return turns


def combine(results: Sequence[int]) -> str:
    """How often in all."""
    return str(sum(results))


READ = Workload(
    name="read-storm",
    summary="os.read of what is there",
    kind="io",
    sizes={"small": 40_000, "default": 800_000},
    make_items=make_turns,
    task=read,
    combine=combine,
)
LOCK = Workload(
    name="lock-storm",
    summary="a free lock taken and given",
    kind="cpu",
    sizes={"small": 80_000, "default": 4_000_000},
    make_items=make_turns,
    task=take,
    combine=combine,
)
SHARED_LOCK = Workload(
    name="shared-lock-storm",
    summary="two threads that take one lock for each count",
    kind="cpu",
    sizes={"small": 80_000, "default": 3_000_000},
    make_items=make_counters,
    task=count,
    combine=combine,
)
HANDOVER = Workload(
    name="handover-storm",
    summary="two threads that hand a lock to and fro",
    kind="mixed",
    sizes={"small": 500, "default": 20_000},
    make_items=make_players,
    task=play,
    combine=combine,
)
