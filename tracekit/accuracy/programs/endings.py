"""Children that end in every way: exit, os._exit, an uncaught exception, SIGKILL asleep and at work, SIGTERM, abort."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable

from tracekit.accuracy.programs.known import Known, ThreadRecorder

REAP = "endings.py:reap"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the time after which children are killed."""
    parser.add_argument("--after", type=float, default=0.3, help="seconds")


def fork(action: Callable[[], object]) -> int:
    """Fork a child that calls this function and nothing else."""
    pid = os.fork()
    if pid:
        return pid
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - its traceback is no news
    action()
    sys.exit(0)


def fail() -> None:
    """End by an uncaught exception."""
    raise RuntimeError("on purpose")


def spin() -> None:
    """Compute until killed."""
    while True:
        pass


def doze(ready: int) -> None:
    """Report that it is about to sleep, and sleep until killed."""
    os.write(ready, b"x")
    time.sleep(3600)


def abort() -> None:
    """End by SIGABRT, without a core file."""
    import resource  # noqa: PLC0415 - where it is missing the child fails, and the check says so

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run one child after the other."""
    me = known.thread("parent")
    me.sites("child-wait", REAP)
    reap(known, me, fork(lambda: None), "exit", 0)
    reap(known, me, fork(lambda: sys.exit(3)), "exit", 3)
    reap(known, me, fork(fail), "exit", 1)
    reap(known, me, fork(lambda: os._exit(7)), "_exit", 7)
    reap(known, me, fork(abort), "signal", -signal.SIGABRT)
    killed_asleep(known, me, options.after)
    for number in (signal.SIGKILL, signal.SIGTERM):
        pid = fork(spin)
        time.sleep(options.after)
        os.kill(pid, number)
        reap(known, me, pid, "signal", -number)
    me.end()


def reap(known: Known, me: ThreadRecorder, pid: int, ended: str, exit_code: int) -> None:
    """Wait for the end of a child, and check it: a program that does not do what it claims is no reference."""
    with me.blocked("child-wait"):
        _, status, used = os.wait4(pid, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    if code != exit_code:
        raise RuntimeError(f"a child ended with {code} instead of {exit_code}")
    known.child(pid, ended, exit_code)
    known.process(pid, round((used.ru_utime + used.ru_stime) * 1e9))


def killed_asleep(known: Known, me: ThreadRecorder, after: float) -> None:
    """Kill a child while it sleeps: the wait from which it never returns is a known answer."""
    source, sink = os.pipe()
    pid = fork(lambda: doze(sink))
    os.read(source, 1)
    started_ns = time.monotonic_ns()
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    ended_ns = time.monotonic_ns()
    reap(known, me, pid, "signal", -signal.SIGKILL)
    known.threads.append(
        {
            "pid": pid,
            "tid": pid,
            "name": "killed asleep",
            "start_ns": started_ns - 50_000_000,
            "end_ns": ended_ns,
            "cpu_ns": None,
            "waits": {"sleep": ended_ns - started_ns},
            "calls": {"sleep": 1},
            "at_least": {},
            "sites": {"sleep": ["endings.py:doze"]},
            "holds": [],
            "life": {},
            "idle": {},
            "migrations": None,
        }
    )
