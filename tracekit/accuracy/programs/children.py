"""Twenty forked children of 50 ms each, five at a time."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tracekit.accuracy.programs.known import Known

RUN = "children.py:run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of children, how many run at once, and their duration."""
    parser.add_argument("--children", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=5)
    parser.add_argument("--life", type=float, default=0.05, help="seconds")


def run(known: Known, options: argparse.Namespace) -> None:
    """Fork a group of children, wait for all of them, and repeat."""
    me = known.thread("parent")
    me.sites("child-wait", RUN)
    left = options.children
    while left > 0:
        pids = []
        for _ in range(min(left, options.at_once)):
            pid = os.fork()
            if pid == 0:
                time.sleep(options.life)
                sys.exit(0)
            pids.append(pid)
        left -= len(pids)
        for pid in pids:
            with me.blocked("child-wait"):
                os.waitpid(pid, 0)
            known.child(pid, "exit", 0)
    me.end()
