"""memory-per-worker: every process loads the same data for itself, threads load it once.

Shows: the memory of one more worker. The data stands for what programs load once: a model, a table, a dictionary.
Threads share it; each process has its own.
Claim: threads of a process share its memory; processes have separate memory.
A good answer: USS hardly grows with threads, and by at least `megabytes` with each process. Under fork the parent could
have loaded it before: then it is shared until somebody writes to it, which reference counts do.
Depends on: nothing but the interpreter. Memory is read in the warm-up run, while all workers are alive.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence

from tracekit.workload import Parameter, Workload

Item = tuple[int, int, int]

_LOADING = threading.Lock()
_LOADED: dict[int, bytearray] = {}
_PAGE = 4096


def make_items(reads: int, seed: int, *, megabytes: int) -> list[Item]:
    """16 items, each (seed, MiB of data, reads)."""
    return [(seed * 1000 + index, megabytes, reads) for index in range(16)]


def task(item: Item) -> int:
    """Load the data unless this process has it, and read a byte of each page; returns a checksum."""
    seed, megabytes, reads = item
    data = _data(megabytes)
    found = 0
    for _ in range(reads):
        found = zlib.crc32(data[seed % _PAGE :: _PAGE], found)
    return found


def _data(megabytes: int) -> bytearray:
    # One thread loads, the others wait for it.
    with _LOADING:
        if megabytes not in _LOADED:
            _LOADED[megabytes] = bytearray(range(256)) * (4096 * megabytes)
        return _LOADED[megabytes]


def combine(results: Sequence[int]) -> str:
    """One checksum over all, in item order."""
    return f"{zlib.crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="memory-per-worker",
    summary="the same data in every worker: memory of one more worker",
    kind="memory",
    sizes={"smoke": 1, "small": 10, "default": 100, "large": 1_000},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(Parameter("megabytes", 32, "data that a process loads", unit="MiB", least=1, most=4096),),
)
