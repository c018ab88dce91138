"""Threads that only run Python code: whenever one does not hold the GIL, it waits for it."""

from __future__ import annotations

import argparse
import sys
import threading
import time

from tracekit.accuracy.programs.known import Known, compute_beside, join, start

SPIN = "spinners.py:spin"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads and of processes, the switch interval and the duration."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beside", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--switch-interval", type=float, default=sys.getswitchinterval(), metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=1.0)


def spin(known: Known, name: str, until: float, alone: bool) -> None:
    """Compute until a given time; reading the clock does not release the GIL."""
    me = known.thread(name)
    me.sites("gil", SPIN)
    me.holds(SPIN)
    if alone:
        me.waited("gil", 0, calls=0)
    while time.monotonic() < until:
        pass
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Spin in all threads at the same time."""
    sys.setswitchinterval(options.switch_interval)
    until = time.monotonic() + options.seconds
    alone = options.threads == 1
    threads = [
        threading.Thread(target=spin, args=(known, f"spinner {number}", until, alone))
        for number in range(options.threads)
    ]
    with compute_beside(known, options.beside, until):
        start(*threads)
        join(*threads)
