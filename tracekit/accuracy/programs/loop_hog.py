"""An event loop of small callbacks beside a thread whose long C calls keep the GIL."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from typing import Any

from tracekit.accuracy.programs.known import Known, compute_beside, join, start

HOLD, HOG = "loop_hog.py:hold", "loop_hog.py:hog"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the length of the long calls, the number of processes and the duration."""
    parser.add_argument("--numbers", type=int, default=1_000_000, help="that one long call adds up")
    parser.add_argument("--beside", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--seconds", type=float, default=1.0)


def hold(numbers: int) -> int:
    """Make one long C call, of some 20 ms."""
    return sum(range(numbers))


def hog(known: Known, numbers: int, until: float, shared: dict[str, Any]) -> None:
    """Make the long calls and record their CPU time: meanwhile the loop could not have the GIL."""
    me = known.thread("hog")
    me.sites("gil", HOLD, HOG)
    me.holds(HOLD, HOG)
    held = 0
    while time.monotonic() < until:
        before = time.thread_time_ns()
        hold(numbers)
        held += time.thread_time_ns() - before
    shared["held_ns"] = held
    shared["done"] = True
    me.end()


def run_loop(known: Known, one: threading.Thread, shared: dict[str, Any]) -> None:
    """Run callbacks until the hog has ended. The loop gives the GIL up before each, as it looks for what is ready."""
    loop = asyncio.new_event_loop()
    me = known.thread("loop")

    def call_back() -> None:
        if shared["done"]:
            loop.stop()
        else:
            loop.call_soon(call_back)

    loop.call_soon(call_back)
    start(one)
    loop.run_forever()
    me.waited_at_least("gil", shared["held_ns"])
    me.end()
    loop.close()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run the loop in a thread of its own, and the hog from when the loop is about to run."""
    shared: dict[str, Any] = {"done": False, "held_ns": 0}
    until = time.monotonic() + options.seconds
    with compute_beside(known, options.beside, until):
        one = threading.Thread(target=hog, args=(known, options.numbers, until, shared))
        looping = threading.Thread(target=run_loop, args=(known, one, shared))
        start(looping)
        join(looping, one)
