"""os.read of one byte that is always there, as often as asked for: what the probe costs where nobody waits."""

from __future__ import annotations

import argparse
import os

from tracekit.accuracy.programs.known import Known


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--times", type=int, default=300_000)


def run(known: Known, options: argparse.Namespace) -> None:
    """In the main thread, which has nobody beside it."""
    source = os.open(os.devnull.replace("null", "zero"), os.O_RDONLY)
    me = known.thread("main")
    me.waited("gil", 0, calls=0)
    read = os.read
    for _ in range(options.times):
        read(source, 1)
    me.end()
