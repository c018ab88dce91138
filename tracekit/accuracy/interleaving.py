"""Two measured processes that run at the same time and take turns on the machine, a few milliseconds each.

Two runs that follow one another meet two machines: on a shared one the speed of a CPU changes by a tenth within a
second, with what other guests do on the same core. It changes little within milliseconds, though. So both runs are
started together, and one of them is always stopped (SIGSTOP to its process group): whatever the machine does, it does
to both. What is left to compare is CPU time, which a stopped process has none of, and the wall of a run's own turns.

What is stopped in a wait for the GIL finds its 5 ms over when it goes on; that is so on both sides.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeAlias, TypeVar

SLICE_S = 0.01

T = TypeVar("T")
Started: TypeAlias = Callable[[int], None]
"""Told the id of the process, the leader of its process group, as soon as there is one."""


class Interleaver:
    """Whose turn it is, and whose it was. Two sides, 0 and 1."""

    def __init__(self, cpu: int | None) -> None:
        self._cpu = cpu
        self._changed = threading.Condition()
        self._leaders: dict[int, int] = {}
        self._over = [False, False]
        self._ended = False
        self._taken: list[tuple[int, int, int]] = []

    def joined(self, side: int, leader: int) -> None:
        """A side has a process: it is stopped until it is its turn."""
        _signal(leader, signal.SIGSTOP)
        if self._cpu is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(leader, {self._cpu})
        with self._changed:
            self._leaders[side] = leader
            if self._ended:
                _signal(leader, signal.SIGKILL)
            self._changed.notify_all()

    def left(self, side: int) -> None:
        """A side has no process any more, or never had one."""
        with self._changed:
            self._leaders.pop(side, None)
            self._over[side] = True
            self._changed.notify_all()

    def alternate(self, first: int) -> None:
        """Give turns until both sides are over."""
        turn = first
        with self._changed:
            self._changed.wait_for(lambda: all(self._over[side] or side in self._leaders for side in (0, 1)))
            while self._leaders:
                if turn not in self._leaders:
                    turn = 1 - turn
                self._take(turn)
                turn = 1 - turn

    def _take(self, side: int) -> None:
        """One turn; it ends early when the process does."""
        _signal(self._leaders.get(1 - side), signal.SIGSTOP)
        _signal(self._leaders[side], signal.SIGCONT)
        begin_ns = time.monotonic_ns()
        self._changed.wait_for(lambda: side not in self._leaders, SLICE_S)
        self._taken.append((side, begin_ns, time.monotonic_ns()))

    def end(self) -> None:
        """Kill what there is: somebody wants to stop, and a stopped process hears nothing else."""
        with self._changed:
            self._ended = True
            for leader in self._leaders.values():
                _signal(leader, signal.SIGKILL)

    def own_ns(self, side: int, start_ns: int, end_ns: int) -> int:
        """How much of a time span (CLOCK_MONOTONIC) was this side's turn."""
        return sum(
            max(0, min(end_ns, until_ns) - max(start_ns, from_ns))
            for turn, from_ns, until_ns in self._taken
            if turn == side
        )


def interleave(
    sides: Sequence[Callable[[Started], T]], *, first: int = 0, cpu: int | None = None
) -> tuple[list[T], Interleaver]:
    """What both sides return, each called in a thread of its own, and who had the machine when.

    A side starts one process, tells its id at once, waits for its end and returns. `cpu` is the CPU that both may
    use, for work of one thread: two CPUs are seldom equally fast. Raises what a side raises.
    """
    turns = Interleaver(cpu)

    def run(side: int) -> T:
        try:
            return sides[side](lambda leader: turns.joined(side, leader))
        finally:
            turns.left(side)

    with ThreadPoolExecutor(len(sides), thread_name_prefix="side") as pool:
        futures = [pool.submit(run, side) for side in range(len(sides))]
        try:
            turns.alternate(first)
        except BaseException:
            turns.end()
            raise
        return [future.result() for future in futures], turns


def _signal(leader: int | None, number: int) -> None:
    # Gone already, and its side is about to say so.
    with suppress(ProcessLookupError, PermissionError):
        if leader is not None:
            os.killpg(leader, number)
