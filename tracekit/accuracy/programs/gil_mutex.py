"""Threads that give the GIL up for a moment, all the time: they often sleep on its mutex, which another one holds."""

from __future__ import annotations

import argparse
import os
import threading
import time

from tracekit.accuracy.programs.known import Known, compute_beside, join, start

READ = "gil_mutex.py:read_on"
READS = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads and of processes, and the duration."""
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--beside", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--seconds", type=float, default=1.0)


def read_on(known: Known, name: str, until: float) -> None:
    """Read bytes that are there: each call gives the GIL up, and wants it back at once."""
    me = known.thread(name)
    me.sites("gil", READ)
    me.holds(READ)
    source, read = os.open("/dev/zero", os.O_RDONLY), os.read
    while time.monotonic() < until:
        for _ in range(READS):
            read(source, 1)
    os.close(source)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Read in all threads at the same time; with processes beside them the one that has the mutex often has no CPU."""
    until = time.monotonic() + options.seconds
    threads = [
        threading.Thread(target=read_on, args=(known, f"reader {number}", until)) for number in range(options.threads)
    ]
    with compute_beside(known, options.beside, until):
        start(*threads)
        join(*threads)
