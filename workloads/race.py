"""race: threads that count up one number without a lock, and lose counts.

Shows: that the GIL protects the interpreter, not the program. Between reading the number and writing it back another
thread may run, and what it counted meanwhile is overwritten. With `-P lock=yes` nothing is lost, and the difference in
time is what the lock costs. Worker processes have a number each and lose nothing, but none has counted everything.
Claim: threads can write the same variables, so precautions are needed or two threads write at the same time.
A good answer: without the lock threads lose a good part of all counts, with it none; processes none.
Depends on: where CPython lets another thread run. That is not between any two bytecodes: `count += 1` in a loop loses
counts on 3.9 and none from 3.10 on, where a thread is only asked to give up the GIL at the end of a loop's round and
when a function is called or begins. Here the new number comes from a function, so that a call lies between reading and
writing on every version. When the GIL changes hands there, and every 5 ms it changes hands at one of the two places,
all that the other thread counts meanwhile is lost. Without a GIL counts are lost all the time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from tracekit.workload import Observation, Parameter, Workload

Item = tuple[int, bool]
Result = tuple[int, int, int, bool]

_COUNT = [0]
_LOCK = threading.Lock()


def make_items(counts: int, seed: int, *, lock: bool) -> list[Item]:
    """16 equal items, each (how often to count, whether under the lock); the seed changes nothing."""
    return [(counts, lock)] * 16


def task(item: Item) -> Result:
    """Count that often; returns the process, how often was counted, what the number was then, and whether under the
    lock."""
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
    """How often was counted. Raises ValueError when more was counted than that, or less under the lock."""
    lost, locked = _lost(results), all(lock for _, _, _, lock in results)
    if lost < 0 or (locked and lost):
        raise ValueError(f"{lost} counts lost, {'with' if locked else 'without'} the lock")
    return str(_counted(results))


def observe(results: Sequence[Result]) -> Mapping[str, float]:
    """What the numbers lack, over all processes."""
    lost = _lost(results)
    return {"updates_lost": lost, "updates_lost_share": lost / _counted(results)}


def _counted(results: Sequence[Result]) -> int:
    return sum(counts for _, counts, _, _ in results)


def _lost(results: Sequence[Result]) -> int:
    lost = 0
    for process in {process for process, _, _, _ in results}:
        own = [(counts, number) for pid, counts, number, _ in results if pid == process]
        # Of this process the number itself is known; a worker process has one thread, whose last number is the highest.
        number = _COUNT[0] if process == os.getpid() else max(number for _, number in own)
        lost += sum(counts for counts, _ in own) - number
    return lost


WORKLOAD = Workload(
    name="race",
    summary="threads count up one number without a lock: how many counts are lost",
    kind="cpu",
    sizes={"smoke": 100_000, "small": 200_000, "default": 600_000, "large": 4_000_000},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(Parameter("lock", False, "count under a lock"),),
    observe=observe,
    observations=(
        Observation("updates_lost", "count", "counts that another thread overwrote"),
        Observation("updates_lost_share", "share", "the same as a part of all counts"),
    ),
    invariant="no number is higher than what was counted, and with the lock none is lower",
)
