"""big-results: tasks that do little and return much.

Shows: the cost of results between processes, which share no memory. A thread's result is a reference; a process's is
pickled, written to a pipe, read and unpickled, by threads of the parent that need its GIL for that.
Claim: processes have separate memory and talk over pipes.
A good answer: threads like serial; processes several times slower, with time in pipes and pickling and a parent that is
busy: more workers do not help. `-P shape=list` makes it worse: every number is an object.
Depends on: concurrent.futures, which pickles results in the worker and unpickles them in a thread of the parent.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Union

from tracekit.workload import Parameter, Workload

Item = tuple[int, int, str]
Result = Union[bytes, list[int]]


def make_items(kilobytes: int, seed: int, *, shape: str) -> list[Item]:
    """16 items, each (first number, KiB, shape of the result). They are small, so that only the results cost."""
    return [((seed + index) % 251, kilobytes, shape) for index in range(16)]


def task(item: Item) -> Result:
    """That many KiB of bytes, or a list with one number for every 8 of them."""
    first, kilobytes, shape = item
    if shape == "bytes":
        return bytes([first]) * (1024 * kilobytes)
    # Beyond the small numbers that exist once.
    return list(range(1000 + first, 1000 + first + 128 * kilobytes))


def combine(results: Sequence[Result]) -> str:
    """One checksum over beginning, end and length of each result, in item order."""
    return f"{zlib.crc32(repr([(len(result), result[0], result[-1]) for result in results]).encode()):08x}"


WORKLOAD = Workload(
    name="big-results",
    summary="tasks that return megabytes: what pickling and pipes cost",
    kind="ipc",
    sizes={"smoke": 64, "small": 512, "default": 4_096, "large": 16_384},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(Parameter("shape", "bytes", "what a result is", choices=("bytes", "list")),),
)
