"""shared-state: which memory threads and processes share.

Shows: three kinds of memory. Every task writes into an ordinary dictionary and into shared memory, and checks whether
it sees what the main process wrote before the workers were started. Afterwards the main process checks whether it sees
what the tasks wrote.
Claim: threads of a process share its memory and can read and write the very same variables; processes have separate
memory and need other means.
A good answer: threads: all writes are visible. Processes: no task's write into the dictionary is, every write into
shared memory is; what the main process wrote before is visible under fork, whose workers are copies, and not under
spawn and forkserver, whose workers start afresh.
Depends on: multiprocessing.shared_memory (Python 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import shared_memory

from tracekit.workload import Observable, Observation, Workload

Item = tuple[int, str]
Result = tuple[int, bool]

_WRITTEN = "before the workers were started"

_before: list[str] = []
"""Written by the main process before it starts workers."""
_ordinary: dict[int, int] = {}
"""Written by tasks: their number -> their mark."""
_shared: list[shared_memory.SharedMemory] = []
"""The main process's handle of the shared memory, in which each task has a byte."""


@contextmanager
def around(tasks: int, seed: int) -> Iterator[Mapping[str, str]]:
    """Shared memory for the time of the run; yields its name."""
    memory = shared_memory.SharedMemory(create=True, size=tasks)
    _shared.append(memory)
    _before.append(_WRITTEN)
    try:
        yield {"memory": memory.name}
    finally:
        _shared.clear()
        memory.close()
        memory.unlink()


def make_items(tasks: int, seed: int, *, memory: str) -> list[Item]:
    """(number, name of the shared memory) for each task; the seed changes nothing."""
    return [(number, memory) for number in range(tasks)]


def task(item: Item) -> Result:
    """Write a mark into both; returns the number, and whether what the main process wrote is there."""
    number, name = item
    _ordinary[number] = _mark(number)
    memory = shared_memory.SharedMemory(name)
    try:
        _bytes(memory)[number] = _mark(number)
    finally:
        memory.close()
    return number, _before == [_WRITTEN]


def _bytes(memory: shared_memory.SharedMemory) -> memoryview:
    assert memory.buf is not None, "it is open"
    return memory.buf


def _mark(number: int) -> int:
    return 1 + number % 250


def combine(results: Sequence[Result]) -> str:
    """The number of tasks; what they see differs by model."""
    return str(len({number for number, _ in results}))


def observe(results: Sequence[Result]) -> list[Observation]:
    """The part of the tasks whose writes the main process sees, and the part that sees the main process's write."""
    numbers = [number for number, _ in results]
    ordinary = sum(_ordinary.get(number) == _mark(number) for number in numbers)
    shared = sum(_bytes(_shared[0])[number] == _mark(number) for number in numbers)
    return [
        Observation("tasks_writes_seen", ordinary / len(numbers)),
        Observation("tasks_shared_memory_seen", shared / len(numbers)),
        Observation("mains_writes_seen", sum(seen for _, seen in results) / len(numbers)),
    ]


WORKLOAD = Workload(
    name="shared-state",
    summary="which writes are visible to others: threads, processes, shared memory",
    kind="memory",
    sizes={"smoke": 16, "small": 50, "default": 200, "large": 2_000},
    make_items=make_items,
    task=task,
    combine=combine,
    around=around,
    observe=observe,
    observables=(
        Observable("tasks_writes_seen", "share", "tasks whose write the main process sees"),
        Observable("tasks_shared_memory_seen", "share", "tasks whose write into shared memory it sees"),
        Observable("mains_writes_seen", "share", "tasks that see what it wrote before it started workers"),
    ),
)
