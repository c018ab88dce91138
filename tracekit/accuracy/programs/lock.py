"""One thread holds a lock for a known time, the other waits for it."""

from __future__ import annotations

import argparse
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

WAITER, HOLDER = "lock.py:waiter", "lock.py:holder"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how often and how long the lock is held."""
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--held", type=float, default=0.15, help="seconds")


def waiter(known: Known, times: int, lock: threading.Lock, go: threading.Lock, done: threading.Lock) -> None:
    """Wait for the lock while it is held."""
    me = known.thread("waiter")
    me.sites("lock", WAITER)
    for _ in range(times):
        with me.blocked("lock"):
            go.acquire()
        with me.blocked("lock"):
            lock.acquire()
        lock.release()
        done.release()
    me.end()


def holder(
    known: Known, times: int, seconds: float, lock: threading.Lock, go: threading.Lock, done: threading.Lock
) -> None:
    """Hold the lock while sleeping, then wait for the waiter."""
    me = known.thread("holder")
    me.sites("lock", HOLDER)
    me.sites("sleep", HOLDER)
    for _ in range(times):
        lock.acquire()
        go.release()
        time.sleep(seconds)
        me.waited("sleep", int(seconds * 1e9))
        lock.release()
        with me.blocked("lock"):
            done.acquire()
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run both threads; `go` and `done` make them alternate."""
    lock, go, done = threading.Lock(), threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()
    threads = [
        threading.Thread(target=waiter, args=(known, options.times, lock, go, done)),
        threading.Thread(target=holder, args=(known, options.times, options.held, lock, go, done)),
    ]
    start(*threads)
    join(*threads)
