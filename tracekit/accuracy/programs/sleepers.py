"""Threads that sleep beside one that holds the GIL for long: after its sleep, each waits for the GIL."""

from __future__ import annotations

import argparse
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

SLEEPER, HOG = "sleepers.py:sleeper", "sleepers.py:hog"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of sleepers, and how often and how long they sleep."""
    parser.add_argument("--sleepers", type=int, default=2)
    parser.add_argument("--times", type=int, default=6)
    parser.add_argument("--sleep", type=float, default=0.1, help="seconds")


def sleeper(known: Known, name: str, times: int, seconds: float, awake: list[str]) -> None:
    """Sleep repeatedly; the answer is the requested time, because a clock would include the GIL wait."""
    me = known.thread(name)
    me.sites("sleep", SLEEPER)
    me.sites("gil", SLEEPER)
    for _ in range(times):
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
    # Not a count: without a GIL two threads that add to it at once may add one.
    awake.append(name)
    me.end()


def hog(known: Known, sleepers: int, awake: list[str]) -> None:
    """Hold the GIL in one C call after the other while a sleeper is left."""
    me = known.thread("hog")
    me.sites("gil", HOG)
    me.holds(HOG)
    while len(awake) < sleepers:
        sum(range(1_500_000))
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run all threads at the same time."""
    awake: list[str] = []
    threads = [
        threading.Thread(target=sleeper, args=(known, f"sleeper {number}", options.times, options.sleep, awake))
        for number in range(options.sleepers)
    ]
    threads.append(threading.Thread(target=hog, args=(known, options.sleepers, awake)))
    start(*threads)
    join(*threads)
