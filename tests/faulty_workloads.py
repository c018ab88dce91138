"""Workloads that fail, each in one way; see tests/real/run/test_faulty_workloads.py. Any Python from 3.9 on."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time

from tracekit.workload import SIZES, Workload


def _items(count, seed):
    return list(range(count))


def _same(results):
    return str(sorted(map(str, results)))


def raises(item):
    raise ValueError(f"item {item} is bad")


def hangs(item):
    time.sleep(3600)


def leaves(item):
    os._exit(7)


def is_killed(item):
    os.kill(os.getpid(), signal.SIGKILL)


def result_does_not_pickle(item):
    return threading.Lock()


def leaves_a_daemon(item):
    """A double fork, with a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    return item


def answers_differ(item):
    return os.getpid()


def sleeps_a_little(item):
    time.sleep(0.3)
    return item


def prints(item):
    sys.stdout.write("a line of the workload's own\n")
    return item


def _number(results):
    return len(results)


def _count_for_ever(count, seed):
    return itertools.count()


def _make_for_ever(count, seed):
    time.sleep(3600)


def _workload(task, count=4, combine=_same, sizes=SIZES, make_items=_items):
    return Workload(
        name=task.__name__,
        summary="goes wrong on purpose",
        kind="fault",
        sizes=dict.fromkeys(sizes, count),
        make_items=make_items,
        task=task,
        combine=combine,
    )


RAISES = _workload(raises)
HANGS = _workload(hangs)
LEAVES = _workload(leaves)
IS_KILLED = _workload(is_killed)
RESULT_DOES_NOT_PICKLE = _workload(result_does_not_pickle)
ANSWERS_DIFFER = _workload(answers_differ)
SLEEPS_A_LITTLE = _workload(sleeps_a_little, 40)
PRINTS = _workload(prints)
CHECKSUM_IS_A_NUMBER = _workload(sleeps_a_little, 1, _number)
ONE_SIZE = _workload(prints, sizes=("smoke",))
LEAVES_A_DAEMON = _workload(leaves_a_daemon)
COUNTS_FOR_EVER = _workload(prints, make_items=_count_for_ever)
MAKES_FOR_EVER = _workload(prints, make_items=_make_for_ever)
NOT_A_WORKLOAD = 3
