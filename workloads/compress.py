"""compress: data packed and unpacked with zlib, C code that releases the GIL.

Shows: threads are enough where the work is done in C code that gives up the GIL. zlib does so for every call.
Claim: threads share the CPUs as processes do, as long as no Python code runs.
A good answer: threads close to the ceiling, with a GIL wait near zero.
Depends on: CPython's zlib module and the zlib behind it, whose versions pack differently: the checksum is of the
unpacked data.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from tracekit.workload import Workload

Item = tuple[int, int]

_BLOCK_BYTES = 1 << 18


def make_items(rounds: int, seed: int) -> list[Item]:
    """16 items, each (seed of its data, rounds): the data is made inside the task, so that nothing large is pickled."""
    return [(seed * 1000 + index, rounds) for index in range(16)]


def task(item: Item) -> int:
    """Pack and unpack 256 KiB that many times; returns a checksum of the result."""
    seed, rounds = item
    data = _data(seed)
    for _ in range(rounds):
        data = zlib.decompress(zlib.compress(data, 6))
    return zlib.crc32(data)


def _data(seed: int) -> bytes:
    """Text that packs to about a third."""
    line = b"".join(b"%d %d;" % (seed * number % 9973, number % 61) for number in range(1, 2_000))
    return (line * (_BLOCK_BYTES // len(line) + 1))[:_BLOCK_BYTES]


def combine(results: Sequence[int]) -> str:
    """One checksum over all data, in item order."""
    return f"{zlib.crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="compress",
    summary="data packed with zlib: C code that releases the GIL",
    kind="native",
    sizes={"smoke": 1, "small": 4, "default": 24, "large": 240},
    make_items=make_items,
    task=task,
    combine=combine,
)
