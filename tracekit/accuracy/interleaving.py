"""Interleaves two measured processes: both run at the same time, in alternating slices of a few milliseconds.

On a shared machine the speed of a CPU changes by a tenth within a second, with the other guests of the core, but
hardly within milliseconds. So both runs are started together, and one of them is always stopped (SIGSTOP to its process
group): both get the same machine. CPU time can then be compared, and the wall of each run's own slices.

A thread that is stopped in a GIL wait finds its switch interval of 5 ms over when it continues; so on both sides.
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
"""Called with the pid of the started process, which leads a process group."""


class Interleaver:
    """Runs two sides, 0 and 1, in alternating slices, and keeps the times of the slices."""

    def __init__(self, cpu: int | None) -> None:
        self._cpu = cpu
        self._changed = threading.Condition()
        self._leaders: dict[int, int] = {}
        self._over = [False, False]
        self._ended = False
        self._slices: list[tuple[int, int, int]] = []

    def add_process(self, side: int, leader: int) -> None:
        """Add a side's process; it is stopped until its first slice."""
        _signal(leader, signal.SIGSTOP)
        if self._cpu is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(leader, {self._cpu})
        with self._changed:
            self._leaders[side] = leader
            if self._ended:
                _signal(leader, signal.SIGKILL)
            self._changed.notify_all()

    def remove_process(self, side: int) -> None:
        """Note that a side's process has ended, or was never started."""
        with self._changed:
            self._leaders.pop(side, None)
            self._over[side] = True
            self._changed.notify_all()

    def alternate(self, first: int) -> None:
        """Alternate until both sides have ended."""
        turn = first
        with self._changed:
            self._changed.wait_for(lambda: all(self._over[side] or side in self._leaders for side in (0, 1)))
            while self._leaders:
                if turn not in self._leaders:
                    turn = 1 - turn
                self._run_slice(turn)
                turn = 1 - turn

    def _run_slice(self, side: int) -> None:
        """Run one slice; it ends early when the process does."""
        _signal(self._leaders.get(1 - side), signal.SIGSTOP)
        _signal(self._leaders[side], signal.SIGCONT)
        begin_ns = time.monotonic_ns()
        self._changed.wait_for(lambda: side not in self._leaders, SLICE_S)
        self._slices.append((side, begin_ns, time.monotonic_ns()))

    def kill(self) -> None:
        """Kill both processes, on an interruption: a stopped process reacts to no other signal."""
        with self._changed:
            self._ended = True
            for leader in self._leaders.values():
                _signal(leader, signal.SIGKILL)

    def own_ns(self, side: int, start_ns: int, end_ns: int) -> int:
        """How much of a time span (CLOCK_MONOTONIC, ns) is in this side's slices."""
        return sum(
            max(0, min(end_ns, until_ns) - max(start_ns, from_ns))
            for turn, from_ns, until_ns in self._slices
            if turn == side
        )


def interleave(
    sides: Sequence[Callable[[Started], T]], *, first: int = 0, cpu: int | None = None
) -> tuple[list[T], Interleaver]:
    """Call both sides, each in a thread of its own, and alternate their processes; return their results.

    A side starts one process, reports its pid at once, waits for its end and returns. `cpu` is the one CPU that both
    may use. Raises what a side raises.
    """
    interleaver = Interleaver(cpu)

    def run(side: int) -> T:
        try:
            return sides[side](lambda leader: interleaver.add_process(side, leader))
        finally:
            interleaver.remove_process(side)

    with ThreadPoolExecutor(len(sides), thread_name_prefix="side") as pool:
        futures = [pool.submit(run, side) for side in range(len(sides))]
        try:
            interleaver.alternate(first)
        except BaseException:
            interleaver.kill()
            raise
        return [future.result() for future in futures], interleaver


def _signal(leader: int | None, number: int) -> None:
    # Gone already, and its side is about to say so.
    with suppress(ProcessLookupError, PermissionError):
        if leader is not None:
            os.killpg(leader, number)
