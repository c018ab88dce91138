"""A thread waits in select, poll and epoll for a pipe that another writes to after a known time."""

from __future__ import annotations

import argparse
import os
import select
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

POLLER, WRITER = "polling.py:poller", "polling.py:writer"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the time between writes."""
    parser.add_argument("--apart", type=float, default=0.15, help="seconds")


def poller(known: Known, seconds: float, source: int) -> None:
    """Wait once with each call, then once until a timeout."""
    me = known.thread("poller")
    me.sites("poll", POLLER)
    with me.blocked("poll"):
        select.select([source], [], [])
    os.read(source, 1)
    poll = select.poll()
    poll.register(source, select.POLLIN)
    with me.blocked("poll"):
        poll.poll()
    os.read(source, 1)
    if hasattr(select, "epoll"):
        with select.epoll() as epoll:
            epoll.register(source, select.EPOLLIN)
            with me.blocked("poll"):
                epoll.poll()
        os.read(source, 1)
    with me.blocked("poll"):
        poll.poll(int(seconds * 1000))
    me.end()


def writer(known: Known, seconds: float, sink: int) -> None:
    """Write one byte for each call."""
    me = known.thread("writer")
    me.sites("sleep", WRITER)
    for _ in range(3 if hasattr(select, "epoll") else 2):
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
        os.write(sink, b"x")
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run both threads at the same time."""
    source, sink = os.pipe()
    threads = [
        threading.Thread(target=poller, args=(known, options.apart, source)),
        threading.Thread(target=writer, args=(known, options.apart, sink)),
    ]
    start(*threads)
    join(*threads)
