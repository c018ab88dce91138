"""A program of some threads in one process, as the wait probe and the kernel see it; times in ms from its start."""

from __future__ import annotations

from typing import Any

from tests.table_factory import MS, Maker
from tracekit.analysis.tables import Tables

PART_NAMES = (
    "thread_on_cpu_ns",
    "thread_gil_wait_ns",
    "thread_lock_wait_ns",
    "thread_io_wait_ns",
    "thread_poll_ns",
    "thread_sleep_ns",
    "thread_child_wait_ns",
    "thread_run_queue_ns",
    "thread_steal_ns",
    "thread_task_blocked_ns",
    "thread_idle_ns",
    "unattributed_ns",
)


class Program:
    """One run of model `program`. `at` is a ms of the run as a stamp."""

    def __init__(self, wall_ms: int = 100, **values: Any) -> None:
        self.maker = Maker(workload="app.py")
        defaults = {"model": "program", "kind": "program", "capture": "waits", "workers": 1, "size": "", "repeat": 1}
        self.run = self.maker.run(wall_ns=wall_ms * MS, **{**defaults, **values})
        self.pid = int(self.run["main_pid"])

    def at(self, ms: float) -> int:
        return int(self.run["start_ns"]) + round(ms * MS)

    def child(self, pid: int, start_ms: float, end_ms: float, **values: Any) -> None:
        """A process that it forks; one that executes something has `exec_ns`."""
        stamps = {"spawn_requested_ns": self.at(start_ms), "exit_ns": self.at(end_ms)}
        self.maker.process(self.run, pid, "other", **{**stamps, **values})

    def thread(
        self,
        tid: int,
        cpu_ms: int | None = 0,
        *,
        start_ms: float = 0,
        end_ms: float = 100,
        pid: int | None = None,
        **values: Any,
    ) -> None:
        """A Python thread of the process, or of one of its children."""
        facts = {"role": "other", "cpu_ns": None if cpu_ms is None else cpu_ms * MS, **values}
        self.maker.thread(self.run, pid or self.pid, tid, self.at(start_ms), self.at(end_ms), **facts)

    def wait(
        self, tid: int, kind: str, start_ms: float, end_ms: float, *, pid: int | None = None, **values: Any
    ) -> None:
        length = self.at(end_ms) - self.at(start_ms)
        self.maker.wait(self.run, pid or self.pid, tid, kind, self.at(start_ms), length, **values)

    def hold(self, tid: int, start_ms: float | None, end_ms: float, **values: Any) -> None:
        start = None if start_ms is None else self.at(start_ms)
        self.maker.hold(self.run, self.pid, tid, start, self.at(end_ms), **values)

    def scheduled(self, tid: int, *parts: tuple[str, int], cpu: int = 0, start_ms: int = 0) -> None:
        lengths = [(state, length * MS) for state, length in parts]
        self.maker.scheduled(self.run, self.pid, tid, self.at(start_ms), *lengths, cpu=cpu)

    def steal(self, ms: int) -> None:
        self.maker.counter(self.run, self.pid, "steal_ns", 0, ms * MS, scope="machine")

    def hide_functions(self, reason: str) -> None:
        """The probe could not read the functions of the main process, and recorded no wait with one."""
        for row in self.maker.rows["processes"]:
            row["no_functions"] = reason
        for row in self.maker.rows["waits"]:
            row.update(function=None, file=None, line=None)

    def tables(self) -> Tables:
        return self.maker.tables()
