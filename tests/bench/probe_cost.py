"""What the wait probe costs: small programs of one thing each, without and with it in turn.

    .venv/bin/python tests/bench/probe_cost.py [--pairs 7] [--python PYTHON] [--against LIBRARY] [--only WORD]

--against compares with another build of the probe in place of none.

Each process gives the least of many batches. Printed is the least of all processes, without and with, which is the
machine at its best both times, and the median of the pairs' ratios, which a slow minute of the machine does not move.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tracekit.measure.probe import compile as probe

LEAST = """
import os, sys, threading, time
def least(clock, batches, times, call):
    best = 1 << 62
    for batch in range(batches):
        begin = clock()
        for turn in range(times):
            call()
        best = min(best, (clock() - begin) / times)
    print(best)
"""

READ = """
from functools import partial
least(time.thread_time_ns, 60, 10_000, partial(os.read, os.open("/dev/zero", os.O_RDONLY), 1))
"""

PROGRAMS = {
    "os.read of one byte that is there": LEAST + READ,
    "the same beside a thread that waits": LEAST
    + "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    + READ,
    "a free lock taken and given": LEAST
    + """
lock = threading.Lock()
def take_and_give():
    lock.acquire()
    lock.release()
least(time.thread_time_ns, 60, 10_000, take_and_give)
""",
    "a lock handed to and fro, CPU time": LEAST
    + """
mine, yours = threading.Lock(), threading.Lock()
yours.acquire()
mine.acquire()
def answers():
    while True:
        yours.acquire()
        mine.release()
# On one processor: on two, how they meet makes more of a difference than anything else.
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
threading.Thread(target=answers, daemon=True).start()
def asks():
    yours.release()
    mine.acquire()
least(time.process_time_ns, 30, 500, asks)
os._exit(sys.stdout.flush() or 0)
""",
    "time.sleep(0), CPU time": LEAST + "least(time.thread_time_ns, 60, 500, lambda: time.sleep(0))",
    "a thread started and joined": LEAST
    + """
def thread():
    made = threading.Thread(target=int)
    made.start()
    made.join()
least(time.monotonic_ns, 40, 20, thread)
""",
    "a child forked, ended and reaped": LEAST
    + """
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
least(time.monotonic_ns, 40, 5, child)
""",
    "/bin/true started and reaped": LEAST
    + """
def program():
    os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
least(time.monotonic_ns, 40, 5, program)
""",
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measures what the wait probe costs.")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--against", default="", help="another build of the probe, in place of none")
    parser.add_argument("--only", default="", help="only the programs that have this word in their name")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = probe.compile_probe(Path(folder) / "waits.so")
        sys.stdout.write(f"{'':40}{'without':>12}{'with':>12}{'more':>12}{'median ratio':>14}\n")
        for name, text in [(name, text) for name, text in PROGRAMS.items() if chosen.only in name]:
            without, watched = [], []
            for number in range(chosen.pairs):
                for preload in [(chosen.against, str(library)), (str(library), chosen.against)][number % 2]:
                    found = measure(chosen.python, text, preload)
                    (watched if preload == str(library) else without).append(found)
            a, b = min(without), min(watched)
            ratio = statistics.median(with_it / bare for bare, with_it in zip(without, watched, strict=True))
            sys.stdout.write(f"{name:40}{show(a)}{show(b)}{show(b - a)}{ratio:14.3f}\n")
            sys.stdout.flush()


def measure(python: str, text: str, preload: str) -> float:
    """One process, in ns; its files go with their folder."""
    with tempfile.TemporaryDirectory() as waits:
        variables = {**os.environ, "LD_PRELOAD": preload, "TRACEKIT_WAITS": waits}
        words = [python, "-I", "-W", "ignore", "-c", text]
        return float(subprocess.run(words, env=variables, capture_output=True, text=True, check=True).stdout)


def show(ns: float) -> str:
    return f"{ns:9.1f} ns" if abs(ns) < 10_000 else f"{ns / 1000:9.1f} us"


if __name__ == "__main__":
    main()
