"""shared-state: who sees what another one writes.

Shows: three kinds of memory. Every task writes into an ordinary dictionary and into shared memory, and looks for what
the main process wrote before the workers were started. Afterwards the main process looks for what the tasks wrote.
Claim: threads of a process share its memory and can read and write the very same variables; processes have separate
memory and need other means.
A good answer: threads: everything is seen. Processes: nothing that tasks wrote into the dictionary, everything that
they wrote into shared memory; what the main process wrote before is seen under fork, whose workers are copies, and not
under spawn and forkserver, whose workers begin from nothing.
Depends on: multiprocessing.shared_memory (Python 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import shared_memory

from tracekit.workload import Observation, Workload

Item = tuple[int, str]
Result = tuple[int, bool]

_WRITTEN = "before the workers were started"

_before: list[str] = []
"""Written by the main process before it starts workers."""
_ordinary: dict[int, int] = {}
"""Written by tasks: their number -> their mark."""
_shared: list[shared_memory.SharedMemory] = []
"""The main process's own hold on the shared memory, in which each task has a byte."""


@contextmanager
def around(tasks: int, seed: int) -> Iterator[Mapping[str, str]]:
    """Shared memory, gone afterwards; gives its name."""
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
    """How many tasks there were: what they see is what differs."""
    return str(len({number for number, _ in results}))


def observe(results: Sequence[Result]) -> Mapping[str, float]:
    """Of all tasks, the part whose writing the main process sees, and the part that sees the main process's."""
    numbers = [number for number, _ in results]
    return {
        "tasks_writes_seen": sum(_ordinary.get(number) == _mark(number) for number in numbers) / len(numbers),
        "tasks_shared_memory_seen": sum(_bytes(_shared[0])[number] == _mark(number) for number in numbers)
        / len(numbers),
        "mains_writes_seen": sum(seen for _, seen in results) / len(numbers),
    }


WORKLOAD = Workload(
    name="shared-state",
    summary="who sees what another one writes: threads, processes, shared memory",
    kind="memory",
    sizes={"smoke": 16, "small": 50, "default": 200, "large": 2_000},
    make_items=make_items,
    task=task,
    combine=combine,
    around=around,
    observe=observe,
    observations=(
        Observation("tasks_writes_seen", "share", "tasks whose write the main process sees"),
        Observation("tasks_shared_memory_seen", "share", "tasks whose write into shared memory it sees"),
        Observation("mains_writes_seen", "share", "tasks that see what it wrote before it started workers"),
    ),
)
