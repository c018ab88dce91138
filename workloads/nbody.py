"""nbody: planets that attract each other, many small calls in pure Python.

Shows: that the number of calls does not matter to the GIL. A thread gives it up when another requests it, inside a call
as well as between two: `matmul` with its few long loops waits as this one does.
Claim: threads of one process take turns where Python code computes, processes do not.
A good answer: threads at 2 workers as slow as serial, waiting for the GIL half of the time; processes near the ceiling.
Depends on: nothing but the interpreter.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from tracekit.workload import Workload

Item = tuple[int, int]
Body = list[float]

_STEP_DAYS = 0.01
_BODIES = 5


def make_items(steps: int, seed: int) -> list[Item]:
    """16 items, each (seed of its planets, steps)."""
    return [(seed * 1000 + index, steps) for index in range(16)]


def task(item: Item) -> str:
    """Let the planets move; returns the energy at the end to the last bit, as hexadecimal digits."""
    seed, steps = item
    bodies = _bodies(seed)
    for _ in range(steps):
        _advance(bodies)
    return _energy(bodies).hex()


def _bodies(seed: int) -> list[Body]:
    """x, y, z, their velocities and a mass each, from a linear congruential generator."""
    state = seed * 2654435761 % 4294967296
    bodies = []
    for _ in range(_BODIES):
        numbers = []
        for _ in range(7):
            state = (1664525 * state + 1013904223) % 4294967296
            numbers.append(state / 4294967296)
        bodies.append(numbers)
    return bodies


def _advance(bodies: list[Body]) -> None:
    for index, one in enumerate(bodies):
        for other in bodies[index + 1 :]:
            _attract(one, other)
    for body in bodies:
        _move(body)


def _attract(one: Body, other: Body) -> None:
    dx, dy, dz = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    # Only multiplications, divisions and square roots: these are rounded alike on every machine.
    force = _STEP_DAYS / _cubed(dx * dx + dy * dy + dz * dz + 0.01)
    _push(one, -force * other[6], dx, dy, dz)
    _push(other, force * one[6], dx, dy, dz)


def _cubed(square: float) -> float:
    return square * math.sqrt(square)


def _push(body: Body, factor: float, dx: float, dy: float, dz: float) -> None:
    body[3] += factor * dx
    body[4] += factor * dy
    body[5] += factor * dz


def _move(body: Body) -> None:
    body[0] += _STEP_DAYS * body[3]
    body[1] += _STEP_DAYS * body[4]
    body[2] += _STEP_DAYS * body[5]


def _energy(bodies: list[Body]) -> float:
    return sum(0.5 * body[6] * (body[3] ** 2 + body[4] ** 2 + body[5] ** 2) for body in bodies)


def combine(results: Sequence[str]) -> str:
    """One checksum over all energies, in item order."""
    return f"{zlib.crc32(' '.join(results).encode()):08x}"


WORKLOAD = Workload(
    name="nbody",
    summary="planets in pure Python, many small calls: holds the GIL all the time",
    kind="cpu",
    sizes={"smoke": 20, "small": 500, "default": 4_500, "large": 40_000},
    make_items=make_items,
    task=task,
    combine=combine,
)
