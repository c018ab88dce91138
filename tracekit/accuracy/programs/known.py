"""The known answers of a reference program, as one JSON object.

    program      its name
    python       [major, minor, micro]
    gil          whether it ran with a GIL
    unavailable  why it could not do its work here; empty otherwise
    threads      one per thread that knows an answer:
        pid tid name
        start_ns end_ns    CLOCK_MONOTONIC window that the answers are about
        cpu_ns             CPU time in it
        waits              kind of wait -> ns in all in the window; a kind that is missing is not known
        calls              kind of wait -> blocking calls that these ns are made of
        at_least           kind of wait -> ns that it waited at least
        sites              kind of wait -> places where the thread can have waited, complete: "file.py:qualname"
        holds              places where the thread can have been when it gave up the GIL, complete
        life               at the end of the window, of the thread's whole life: cpu_ns, run_queue_wait_ns,
                           voluntary_switches; a number that this system does not give is missing. They were read
                           between end_ns and read_ns
        idle               kind of wait -> ns of it in which the thread waited for work
        migrations         how often it changed its CPU; null where it did not see to it
    processes    one per process that wrote answers, or that was killed: pid, and cpu_ns of all its threads up to
                 at_ns, CLOCK_MONOTONIC
    children     pid, ended (exit, _exit, signal), exit_code (negative for a signal)
    active       where code is generated all the time: [tid, start_ns, end_ns, name] of each generated function

Kinds of waits are those of the table `waits`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

WAIT = "threading.py:Condition.wait"
"""Where Queue.get, Event.wait, Thread.start and their like block."""


class Known:
    """The known answers of one process; `absorb` adds those of a child."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.unavailable = ""
        self.threads: list[dict[str, Any]] = []
        self.processes: list[dict[str, int]] = []
        self.children: list[dict[str, Any]] = []
        self.active: list[tuple[int, int, int, str]] = []

    def thread(self, name: str) -> ThreadRecorder:
        """Begin to record the calling thread; its window begins now."""
        return ThreadRecorder(self, name)

    def child(self, pid: int, ended: str, exit_code: int) -> None:
        """Record a child that was waited for, and how it ended."""
        self.children.append({"pid": pid, "ended": ended, "exit_code": exit_code})

    def process(self, pid: int, cpu_ns: int) -> None:
        """Record what CPU time a process has used up to now."""
        self.processes.append({"pid": pid, "cpu_ns": cpu_ns, "at_ns": time.monotonic_ns()})

    def absorb(self, text: str) -> None:
        """Add the answers of a child process, from its `to_json`."""
        theirs = json.loads(text)
        self.threads += theirs["threads"]
        self.processes += theirs["processes"]
        self.children += theirs["children"]

    def to_json(self) -> str:
        """Make the JSON object described above."""
        gil_enabled = getattr(sys, "_is_gil_enabled", None)
        self.process(os.getpid(), time.process_time_ns())
        return json.dumps(
            {
                "program": self.program,
                "python": list(sys.version_info[:3]),
                "gil": True if gil_enabled is None else gil_enabled(),
                "unavailable": self.unavailable,
                "threads": self.threads,
                "processes": self.processes,
                "children": self.children,
                "active": self.active,
            }
        )


class ThreadRecorder:
    """Records the answers of one thread; created and ended by that thread."""

    def __init__(self, known: Known, name: str) -> None:
        self._known = known
        self._name = name
        self.tid = threading.get_native_id()
        self._waits: dict[str, int] = {}
        self._calls: dict[str, int] = {}
        self._at_least: dict[str, int] = {}
        self._sites: dict[str, list[str]] = {}
        self._holds: list[str] = []
        self._idle: dict[str, int] = {}
        self._migrations: int | None = None
        self._cpu_ns = time.thread_time_ns()
        self._start_ns = time.monotonic_ns()

    def blocked(self, kind: str, *, idle: bool = False) -> Blocked:
        """A context manager that times one blocking call, `idle` where the thread waits for work in it. Where other
        threads run meanwhile, the time would include the GIL wait after the call: only for calls without such threads.
        """
        return Blocked(self, kind, idle=idle)

    def waited(self, kind: str, ns: int, calls: int = 1, *, idle: bool = False) -> None:
        """Record waited time, known by construction or by a clock; `idle` where it was for work."""
        if idle:
            self._idle[kind] = self._idle.get(kind, 0) + ns
        self._waits[kind] = self._waits.get(kind, 0) + ns
        self._calls[kind] = self._calls.get(kind, 0) + calls

    def waited_at_least(self, kind: str, ns: int) -> None:
        """Record a lower bound of the waited time."""
        self._at_least[kind] = ns

    def sites(self, kind: str, *places: str) -> None:
        """Set all places where the thread can have waited so in its window."""
        self._sites[kind] = list(places)

    def holds(self, *places: str) -> None:
        """Set all places where the thread can have released the GIL in its window."""
        self._holds = list(places)

    def migrated(self, times: int) -> None:
        """Record how often the thread changed its CPU."""
        self._migrations = times

    def end(self) -> None:
        """End the window."""
        end_ns = time.monotonic_ns()
        life = {"cpu_ns": time.thread_time_ns()}
        with contextlib.suppress(OSError), open("/proc/thread-self/schedstat", encoding="ascii") as file:  # noqa: PTH123
            life["run_queue_wait_ns"] = int(file.read().split()[1])
        # To open and to read a file lets other threads run: it may wait for a CPU meanwhile.
        life["read_ns"] = time.monotonic_ns()
        if hasattr(resource, "RUSAGE_THREAD"):
            life["voluntary_switches"] = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        self._known.threads.append(
            {
                "pid": os.getpid(),
                "tid": self.tid,
                "name": self._name,
                "start_ns": self._start_ns,
                "end_ns": end_ns,
                "cpu_ns": time.thread_time_ns() - self._cpu_ns,
                "waits": self._waits,
                "calls": self._calls,
                "at_least": self._at_least,
                "sites": self._sites,
                "holds": self._holds,
                "life": life,
                "idle": self._idle,
                "migrations": self._migrations,
            }
        )


class Blocked:
    """Times a `with` block, see ThreadRecorder.blocked."""

    __slots__ = ("_idle", "_kind", "_start_ns", "_thread")

    def __init__(self, thread: ThreadRecorder, kind: str, *, idle: bool) -> None:
        self._thread = thread
        self._kind = kind
        self._idle = idle

    def __enter__(self) -> None:
        self._start_ns = time.monotonic_ns()

    def __exit__(self, *_exception: object) -> None:
        self._thread.waited(self._kind, time.monotonic_ns() - self._start_ns, idle=self._idle)


def start(*threads: threading.Thread) -> None:
    """Start all threads."""
    for thread in threads:
        thread.start()


def join(*threads: threading.Thread) -> None:
    """Join all threads."""
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def compute_beside(known: Known, processes: int, until: float) -> Iterator[None]:
    """Keep the CPUs busy with so many children until a time of time.monotonic; at the end they are waited for."""
    pids = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < until:
                pass
            os._exit(0)
        pids.append(pid)
    yield
    for pid in pids:
        os.waitpid(pid, 0)
        known.child(pid, "_exit", 0)
