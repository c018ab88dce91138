"""Locks taken and given as often as asked for: a free one, one that two threads hammer, and one handed to and fro."""

from __future__ import annotations

import argparse
import threading

from tracekit.accuracy.programs.known import Known, join, start

HAMMER, PLAY = "lock_storm.py:hammer", "lock_storm.py:play"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of repetitions of each part; 0 leaves it out."""
    parser.add_argument("--free", type=int, default=500_000, help="a lock is taken that nobody else wants")
    parser.add_argument("--hammered", type=int, default=500_000, help="each of two threads takes the same lock")
    parser.add_argument("--turns", type=int, default=0, help="two threads wait for each other: every take blocks")


def hammer(known: Known, name: str, times: int, lock: threading.Lock) -> None:
    """Acquire and release a lock that another thread also uses: contended where the GIL was switched meanwhile."""
    me = known.thread(name)
    me.sites("lock", HAMMER)
    for _ in range(times):
        lock.acquire()
        lock.release()
    me.end()


def play(known: Known, name: str, turns: int, mine: threading.Lock, yours: threading.Lock) -> None:
    """Acquire the own lock and release the other's."""
    me = known.thread(name)
    me.sites("lock", PLAY)
    for _ in range(turns):
        mine.acquire()
        yours.release()
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run one part after the other."""
    lock = threading.Lock()
    if options.free:
        me = known.thread("alone")
        me.waited("lock", 0, calls=0)
        for _ in range(options.free):
            lock.acquire()
            lock.release()
        me.end()
    if options.hammered:
        threads = [
            threading.Thread(target=hammer, args=(known, f"hammer {number}", options.hammered, lock))
            for number in range(2)
        ]
        start(*threads)
        join(*threads)
    if options.turns:
        other = threading.Lock()
        other.acquire()
        threads = [
            threading.Thread(target=play, args=(known, "left", options.turns, lock, other)),
            threading.Thread(target=play, args=(known, "right", options.turns, other, lock)),
        ]
        start(*threads)
        join(*threads)
