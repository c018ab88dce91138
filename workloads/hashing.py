"""hashing: SHA-256 over large buffers, C code that releases the GIL.

Shows: threads can use several CPUs. hashlib gives up the GIL for buffers over 2047 bytes, so threads hash in
parallel like processes do, without the price of starting processes.
A good answer: threads close to the ceiling, with a GIL wait near zero.
Depends on: CPython's hashlib (and the OpenSSL behind it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tracekit.workload import Workload

Item = tuple[int, int]

_BUFFER_BYTES = 1 << 20


def make_items(megabytes: int, seed: int) -> list[Item]:
    """16 items, each (first byte, megabytes): the buffer is made inside the task, so that nothing large is pickled."""
    return [((seed + index) % 256, megabytes) for index in range(16)]


def task(item: Item) -> str:
    """Hash that many MiB; returns the digest."""
    first, megabytes = item
    buffer = bytes([first]) * _BUFFER_BYTES
    digest = hashlib.sha256()
    for _ in range(megabytes):
        digest.update(buffer)
    return digest.hexdigest()


def combine(results: Sequence[str]) -> str:
    """One digest over all digests, in item order."""
    return hashlib.sha256("".join(results).encode()).hexdigest()[:16]


WORKLOAD = Workload(
    name="hashing",
    summary="SHA-256 of large buffers: C code that releases the GIL",
    kind="native",
    sizes={"smoke": 2, "small": 10, "default": 50, "large": 500},
    make_items=make_items,
    task=task,
    combine=combine,
)
