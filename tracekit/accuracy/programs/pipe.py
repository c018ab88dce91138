"""A thread reads a pipe that another writes to after a known time, and writes to one that is full until then."""

from __future__ import annotations

import argparse
import os
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

READER, WRITER, FILLER, DRAINER = "pipe.py:reader", "pipe.py:writer", "pipe.py:filler", "pipe.py:drainer"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of writes and the time between them."""
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--apart", type=float, default=0.15, help="seconds")


def reader(known: Known, times: int, source: int) -> None:
    """Block in os.read."""
    me = known.thread("reader")
    me.sites("io-read", READER)
    for _ in range(times):
        with me.blocked("io-read"):
            os.read(source, 1)
    me.end()


def writer(known: Known, times: int, seconds: float, sink: int) -> None:
    """Write one byte at a time, with pauses."""
    me = known.thread("writer")
    me.sites("sleep", WRITER)
    for _ in range(times):
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
        os.write(sink, b"x")
    me.end()


def filler(known: Known, sink: int, filled: threading.Lock) -> None:
    """Fill the pipe, and block in os.write until there is room."""
    me = known.thread("filler")
    me.sites("io-write", FILLER)
    os.set_blocking(sink, False)
    try:
        while True:
            os.write(sink, bytes(1 << 16))
    except BlockingIOError:
        os.set_blocking(sink, True)
    filled.release()
    with me.blocked("io-write"):
        os.write(sink, bytes(1 << 12))
    me.end()


def drainer(known: Known, seconds: float, source: int, filled: threading.Lock) -> None:
    """Empty the pipe after a pause."""
    me = known.thread("drainer")
    me.sites("lock", DRAINER)
    me.sites("sleep", DRAINER)
    with me.blocked("lock"):
        filled.acquire()
    time.sleep(seconds)
    me.waited("sleep", int(seconds * 1e9))
    os.read(source, 1 << 20)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run the reader with its writer, then the filler with its drainer."""
    source, sink = os.pipe()
    pair = [
        threading.Thread(target=reader, args=(known, options.times, source)),
        threading.Thread(target=writer, args=(known, options.times, options.apart, sink)),
    ]
    start(*pair)
    join(*pair)
    filled = threading.Lock()
    filled.acquire()
    pair = [
        threading.Thread(target=drainer, args=(known, 2 * options.apart, source, filled)),
        threading.Thread(target=filler, args=(known, sink, filled)),
    ]
    start(*pair)
    join(*pair)
