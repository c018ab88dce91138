"""A consumer waits for items that a producer puts into a queue, with pauses."""

from __future__ import annotations

import argparse
import queue
import threading
import time

from tracekit.accuracy.programs.known import WAIT, Known, join, start

PRODUCE, GET = "queues.py:produce", "queue.py:Queue.get"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of items and the time between them."""
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--apart", type=float, default=0.15, help="seconds")


def consume(known: Known, times: int, items: queue.Queue[int]) -> None:
    """Wait for each item; Queue.get waits in Condition.wait."""
    me = known.thread("consumer")
    me.sites("lock", WAIT, "threading.py:Condition.__enter__", GET)
    for _ in range(times):
        with me.blocked("lock", idle=True):
            items.get()
    me.end()


def produce(known: Known, times: int, seconds: float, items: queue.Queue[int]) -> None:
    """Put items, sleeping before each."""
    me = known.thread("producer")
    me.sites("sleep", PRODUCE)
    for number in range(times):
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
        items.put(number)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run both threads at the same time."""
    items: queue.Queue[int] = queue.Queue()
    threads = [
        threading.Thread(target=consume, args=(known, options.times, items)),
        threading.Thread(target=produce, args=(known, options.times, options.apart, items)),
    ]
    start(*threads)
    join(*threads)
