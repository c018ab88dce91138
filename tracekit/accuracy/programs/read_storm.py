"""Reads one available byte again and again: the cost of the probe where no thread waits."""

from __future__ import annotations

import argparse
import os

from tracekit.accuracy.programs.known import Known


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of reads."""
    parser.add_argument("--times", type=int, default=300_000)


def run(known: Known, options: argparse.Namespace) -> None:
    """Read in the main thread, without any other thread."""
    source = os.open(os.devnull.replace("null", "zero"), os.O_RDONLY)
    me = known.thread("main")
    me.waited("gil", 0, calls=0)
    read = os.read
    for _ in range(options.times):
        read(source, 1)
    me.end()
