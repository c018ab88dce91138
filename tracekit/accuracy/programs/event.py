"""A thread waits for events that another sets, and for one that never comes until its time is over."""

from __future__ import annotations

import argparse
import threading
import time

from tracekit.accuracy.programs.known import WAIT, Known, join, start

SETTER = "event.py:setter"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of events and the time between them."""
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--apart", type=float, default=0.15, help="seconds")


def waiter(known: Known, events: list[threading.Event], seconds: float) -> None:
    """Wait for each event, then for one that is never set, with a timeout."""
    me = known.thread("waiter")
    me.sites("lock", WAIT, "threading.py:Event.wait", "threading.py:Condition.__enter__")
    for event in events:
        with me.blocked("lock", idle=True):
            event.wait()
    with me.blocked("lock", idle=True):
        threading.Event().wait(seconds)
    me.end()


def setter(known: Known, events: list[threading.Event], seconds: float) -> None:
    """Set one event after the other."""
    me = known.thread("setter")
    me.sites("sleep", SETTER)
    for event in events:
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
        event.set()
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run both threads at the same time."""
    events = [threading.Event() for _ in range(options.times)]
    threads = [
        threading.Thread(target=waiter, args=(known, events, options.apart)),
        threading.Thread(target=setter, args=(known, events, options.apart)),
    ]
    start(*threads)
    join(*threads)
