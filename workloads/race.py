"""race: threads that increment one counter without a lock, and lose updates.

Shows: that the GIL protects the interpreter, not the program. Between reading the counter and writing it back another
thread may run, and its increments are overwritten. With `-P lock=yes` nothing is lost, and the difference in time is
what the lock costs. Worker processes have a counter each and lose nothing, but no counter has all increments.
Claim: threads can write the same variables, so precautions are needed or two threads write at the same time.
A good answer: without the lock threads lose a good part of all increments, with it none; processes none.
Depends on: where CPython lets another thread run. That is not between any two bytecodes: `count += 1` in a loop loses
updates on 3.9 and none from 3.10 on, where a thread gives up the GIL only at the end of a loop's iteration and at the
call or the beginning of a function. Here the new value comes from a function, so that on every version a call lies
between reading and writing. Every 5 ms the GIL is handed over at one of these places; if it is at the call, the other
thread's increments are lost. Without a GIL updates are lost all the time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tracekit.workload import Observable, Observation, Parameter, Workload

Item = tuple[int, bool]
Result = tuple[int, int, int, bool]

_COUNT = [0]
_LOCK = threading.Lock()


def make_items(counts: int, seed: int, *, lock: bool) -> list[Item]:
    """16 equal items, each (increments, whether under the lock); the seed changes nothing."""
    return [(counts, lock)] * 16


def task(item: Item) -> Result:
    """Increment the counter that often; returns (pid, increments, counter afterwards, whether under the lock)."""
    counts, lock = item
    number = _COUNT
    if lock:
        for _ in range(counts):
            with _LOCK:
                number[0] = _one_more(number[0])
    else:
        for _ in range(counts):
            number[0] = _one_more(number[0])
    return os.getpid(), counts, number[0], lock


def _one_more(number: int) -> int:
    return number + 1


def combine(results: Sequence[Result]) -> str:
    """The number of increments. Raises ValueError when the counters have more, or fewer under the lock."""
    lost, locked = _lost(results), all(lock for _, _, _, lock in results)
    if lost < 0 or (locked and lost):
        raise ValueError(f"{lost} counts lost, {'with' if locked else 'without'} the lock")
    return str(_counted(results))


def observe(results: Sequence[Result]) -> list[Observation]:
    """The increments that are missing in the counters of all processes."""
    lost = _lost(results)
    return [Observation("updates_lost", lost), Observation("updates_lost_share", lost / _counted(results))]


def _counted(results: Sequence[Result]) -> int:
    return sum(counts for _, counts, _, _ in results)


def _lost(results: Sequence[Result]) -> int:
    lost = 0
    for process in {process for process, _, _, _ in results}:
        own = [(counts, number) for pid, counts, number, _ in results if pid == process]
        # This process's counter is at hand; a worker process has one thread, whose last value is the highest.
        number = _COUNT[0] if process == os.getpid() else max(number for _, number in own)
        lost += sum(counts for counts, _ in own) - number
    return lost


WORKLOAD = Workload(
    name="race",
    summary="threads increment one counter without a lock: how many updates are lost",
    kind="cpu",
    sizes={"smoke": 100_000, "small": 200_000, "default": 600_000, "large": 4_000_000},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(Parameter("lock", False, "increment under a lock"),),
    observe=observe,
    observables=(
        Observable("updates_lost", "count", "increments that another thread overwrote"),
        Observable("updates_lost_share", "share", "the same as a part of all increments"),
    ),
    invariant="no counter is higher than its increments, and with the lock none is lower",
)
