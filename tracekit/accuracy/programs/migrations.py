"""A thread that moves from one CPU to another as often as it is asked to, and back."""

from __future__ import annotations

import argparse
import os
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of moves and the time on each CPU."""
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--stay", type=float, default=0.005, help="seconds of CPU time")


def move(known: Known, moves: int, stay: float, cpus: tuple[int, int]) -> None:
    """Allow the own thread one CPU only, the other one each time: it has moved when the call returns."""
    me = known.thread("mover")
    me.waited("gil", 0, calls=0)
    os.sched_setaffinity(0, {cpus[0]})
    for number in range(moves):
        busy_until = time.thread_time() + stay
        while time.thread_time() < busy_until:
            pass
        os.sched_setaffinity(0, {cpus[(number + 1) % 2]})
    me.migrated(moves)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Move in a thread of its own; the main thread only waits."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:
        known.unavailable = "needs two CPUs that it may choose"
        return
    thread = threading.Thread(target=move, args=(known, options.moves, options.stay, (allowed[0], allowed[1])))
    start(thread)
    join(thread)
