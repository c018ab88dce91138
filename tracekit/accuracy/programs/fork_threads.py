"""A process whose threads compute forks; the child, which has none of them, starts threads of its own."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import warnings

from tracekit.accuracy.programs.known import Known, join, start

SPIN, RUN = "fork_threads.py:spin", "fork_threads.py:run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the duration."""
    parser.add_argument("--seconds", type=float, default=0.8)


def spin(known: Known, name: str, until: float) -> None:
    """Compute."""
    me = known.thread(name)
    me.sites("gil", SPIN)
    me.holds(SPIN)
    while time.monotonic() < until:
        pass
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Fork; the child computes as long as the parent's threads, and sends its answers through a pipe."""
    # Python 3.12 and newer warn of what this program is about.
    warnings.simplefilter("ignore", DeprecationWarning)
    source, sink = os.pipe()
    until = time.monotonic() + options.seconds
    threads = [threading.Thread(target=spin, args=(known, f"parent {number}", until)) for number in range(2)]
    start(*threads)
    pid = os.fork()
    if pid == 0:
        mine = Known("fork_threads")
        threads = [threading.Thread(target=spin, args=(mine, f"child {number}", until)) for number in range(2)]
        start(*threads)
        join(*threads)
        os.write(sink, mine.to_json().encode())
        sys.exit(0)
    join(*threads)
    os.close(sink)
    os.waitpid(pid, 0)
    known.child(pid, "exit", 0)
    with open(source, encoding="utf-8") as file:  # noqa: PTH123 - it is a descriptor
        known.absorb(file.read())
