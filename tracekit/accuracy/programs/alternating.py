"""One thread that computes for 0.2 s and sleeps for 0.8 s, in turns."""

from __future__ import annotations

import argparse
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

ALTERNATE = "alternating.py:alternate"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of repetitions."""
    parser.add_argument("--times", type=int, default=1)


def alternate(known: Known, times: int) -> None:
    """Compute for 0.2 s of CPU time, also where the machine takes the CPU away, then sleep."""
    me = known.thread("alternating")
    me.sites("sleep", ALTERNATE)
    me.waited("gil", 0, calls=0)
    for _ in range(times):
        busy_until = time.thread_time() + 0.2
        while time.thread_time() < busy_until:
            pass
        time.sleep(0.8)
        me.waited("sleep", 800_000_000)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run in a thread of its own; the main thread only waits."""
    thread = threading.Thread(target=alternate, args=(known, options.times))
    start(thread)
    join(thread)
