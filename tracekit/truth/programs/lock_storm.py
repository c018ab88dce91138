"""Locks taken and given as often as asked for: without anybody else, and from hand to hand between two threads."""

from __future__ import annotations

import argparse
import threading

from tracekit.truth.programs.known import Known, join, start

PLAY = "lock_storm.py:play"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--times", type=int, default=1_000_000, help="a lock is taken that is free")
    parser.add_argument("--turns", type=int, default=15_000, help="the two threads wait for each other")


def play(known: Known, name: str, turns: int, mine: threading.Lock, yours: threading.Lock) -> None:
    """Wait for one's own lock, give the other's."""
    me = known.thread(name)
    me.sites("lock", PLAY)
    for _ in range(turns):
        mine.acquire()
        yours.release()
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """First alone, then the two."""
    free = threading.Lock()
    for _ in range(options.times):
        free.acquire()
        free.release()
    left, right = threading.Lock(), threading.Lock()
    right.acquire()
    threads = [
        threading.Thread(target=play, args=(known, "left", options.turns, left, right)),
        threading.Thread(target=play, args=(known, "right", options.turns, right, left)),
    ]
    start(*threads)
    join(*threads)
