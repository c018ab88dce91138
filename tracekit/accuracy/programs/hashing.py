"""Threads that hash large buffers: the C code gives up the GIL, so they hardly wait for each other."""

from __future__ import annotations

import argparse
import hashlib
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

HASH = "hashing.py:hash_blocks"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads and the duration."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)


def hash_blocks(known: Known, name: str, until: float) -> None:
    """Hash blocks of 1 MB."""
    me = known.thread(name)
    me.sites("gil", HASH)
    me.holds(HASH)
    digest, block = hashlib.sha256(), bytes(1 << 20)
    while time.monotonic() < until:
        digest.update(block)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Hash in all threads at the same time."""
    until = time.monotonic() + options.seconds
    threads = [
        threading.Thread(target=hash_blocks, args=(known, f"hasher {number}", until))
        for number in range(options.threads)
    ]
    start(*threads)
    join(*threads)
