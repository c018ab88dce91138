"""A thread with quick I/O beside one that computes: after each call the first has to wait for the GIL anew."""

from __future__ import annotations

import argparse
import os
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

IO, CPU = "convoy.py:io_loop", "convoy.py:cpu_loop"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the duration."""
    parser.add_argument("--seconds", type=float, default=1.0)


def io_loop(known: Known, until: float) -> None:
    """Write a byte to a pipe and read it back: neither call blocks, both release the GIL."""
    source, sink = os.pipe()
    me = known.thread("io")
    me.sites("gil", IO)
    me.holds(IO)
    while time.monotonic() < until:
        os.write(sink, b"x")
        os.read(source, 1)
    me.end()


def cpu_loop(known: Known, until: float) -> None:
    """Compute."""
    me = known.thread("cpu")
    me.sites("gil", CPU)
    me.holds(CPU)
    while time.monotonic() < until:
        pass
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run both threads at the same time."""
    until = time.monotonic() + options.seconds
    threads = [
        threading.Thread(target=io_loop, args=(known, until)),
        threading.Thread(target=cpu_loop, args=(known, until)),
    ]
    start(*threads)
    join(*threads)
