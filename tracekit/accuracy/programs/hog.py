"""One thread makes long C calls that keep the GIL, beside threads that make many small calls."""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

from tracekit.accuracy.programs.known import Known, join, start

HOLD, HOG = "hog.py:hold", "hog.py:hog"
STEP, SMALL = "hog.py:step", "hog.py:small"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of small threads, and the number and duration of the long calls."""
    parser.add_argument("--smalls", type=int, default=2)
    parser.add_argument("--calls", type=int, default=6)
    parser.add_argument("--numbers", type=int, default=4_000_000, help="that one long call adds up")


def hold(numbers: int) -> int:
    """Make one long C call."""
    return sum(range(numbers))


def hog(known: Known, calls: int, numbers: int, shared: dict[str, Any]) -> None:
    """Make the long calls and record their CPU time: meanwhile no other thread could have the GIL."""
    me = known.thread("hog")
    me.sites("gil", HOLD, HOG)
    me.holds(HOLD, HOG)
    held = 0
    for _ in range(calls):
        before = time.thread_time_ns()
        hold(numbers)
        held += time.thread_time_ns() - before
    shared["held_ns"] = held
    shared["done"] = True
    me.end()


def step(number: int) -> int:
    """Make one small call."""
    return number + 1


def small(known: Known, name: str, shared: dict[str, Any]) -> None:
    """Make small calls until the hog has ended; the thread waits for nothing but the GIL."""
    me = known.thread(name)
    me.sites("gil", STEP, SMALL)
    me.holds(STEP, SMALL)
    number = 0
    while not shared["done"]:
        number = step(number)
    me.waited_at_least("gil", shared["held_ns"])
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Start the small threads first, so that they wait for the GIL during every long call."""
    shared: dict[str, Any] = {"done": False, "held_ns": 0}
    smalls = [
        threading.Thread(target=small, args=(known, f"small {number}", shared)) for number in range(options.smalls)
    ]
    one = threading.Thread(target=hog, args=(known, options.calls, options.numbers, shared))
    start(*smalls, one)
    join(*smalls, one)
