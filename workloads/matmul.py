"""matmul: blocks of a matrix product in pure Python.

Shows: work that holds the GIL all the time. Threads cannot share it out, processes can.
A good answer: threads at 2 workers take as long as serial and wait for the GIL about half of the time; processes come
near the ceiling that the control `spin` measures.
Depends on: nothing but the interpreter.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from tracekit.workload import Workload

Item = tuple[int, int, int]

_BLOCK = 32
"""Rows and columns of the matrices: one pass is about 2 ms of Python."""


def make_items(passes: int, seed: int) -> list[Item]:
    """16 items, each (seed of its matrices, block size, passes). Small to pickle: moving data is another workload."""
    return [(seed * 1000 + index, _BLOCK, passes) for index in range(16)]


def task(item: Item) -> int:
    """Multiply two block x block matrices of small integers `passes` times; returns a checksum of the last product."""
    seed, block, passes = item
    left = _matrix(seed, block)
    right = _matrix(seed + 1, block)
    for _ in range(passes):
        left = _multiply(left, right)
    return zlib.crc32(repr(left).encode())


def _matrix(seed: int, block: int) -> list[list[int]]:
    """Numbers from a linear congruential generator: the same on every Python, unlike `random`'s helpers."""
    state = seed * 2654435761 % 4294967296
    rows = [[0] * block for _ in range(block)]
    for row in rows:
        for index in range(block):
            state = (1664525 * state + 1013904223) % 4294967296
            row[index] = state >> 24
    return rows


def _multiply(left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """The product modulo 251, so that integers stay small and every pass costs the same."""
    columns = list(zip(*right))
    return [_row(row, columns) for row in left]


def _row(row: list[int], columns: list[tuple[int, ...]]) -> list[int]:
    """One row of the product. No calls in the loops: a tracer then records rows, not half a million appends."""
    result = [0] * len(columns)
    for index, column in enumerate(columns):
        total = 0
        for a, b in zip(row, column):
            total += a * b
        result[index] = total % 251
    return result


def combine(results: Sequence[int]) -> str:
    """One checksum over all blocks, in item order."""
    return f"{zlib.crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="matmul",
    summary="matrix product in pure Python: holds the GIL all the time",
    kind="cpu",
    sizes={"smoke": 1, "small": 6, "default": 24, "large": 240},
    make_items=make_items,
    task=task,
    combine=combine,
)
