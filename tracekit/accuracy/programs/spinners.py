"""Threads that do nothing but Python code: all time that one has not the GIL, it waits for it."""

from __future__ import annotations

import argparse
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

SPIN = "spinners.py:spin"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many and how long."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)


def spin(known: Known, name: str, until: float, alone: bool) -> None:
    """Compute until the clock says so; reading the clock keeps the GIL."""
    me = known.thread(name)
    me.sites("gil", SPIN)
    me.holds(SPIN)
    if alone:
        me.waited("gil", 0, calls=0)
    while time.monotonic() < until:
        pass
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Spin in all threads at once."""
    until = time.monotonic() + options.seconds
    alone = options.threads == 1
    threads = [
        threading.Thread(target=spin, args=(known, f"spinner {number}", until, alone))
        for number in range(options.threads)
    ]
    start(*threads)
    join(*threads)
