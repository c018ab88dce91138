"""Linux: getrusage for switches, /proc for run-queue delay and steal. No privileges needed.

Sources: proc(5), and the kernel's Documentation/scheduler/sched-stats.rst for `schedstat` (on-CPU ns, run-queue delay
ns, timeslices).
"""

from __future__ import annotations

import os
import resource
import time

from tracekit.measure.inside.counters import CounterSource

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from tracekit.measure.inside.counters import Reading, TaskReading

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_STEAL_FIELD = 8
"""Of the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal."""


class LinuxSource(CounterSource):
    """See the module."""

    name = "linux"

    def available(self) -> bool:
        return os.access("/proc/self/schedstat", os.R_OK)

    def task_reading(self) -> TaskReading:
        # getrusage and clock_gettime are called by CPython without releasing the GIL; a read of /proc would release
        # it, and taking it back beside a busy thread costs up to a switch interval.
        usage = resource.getrusage(resource.RUSAGE_THREAD)
        return (time.thread_time_ns(), usage.ru_nvcsw, usage.ru_nivcsw)

    def process_readings(self) -> list[Reading]:
        readings = _process_readings()
        tids = _own_tids()
        readings.append(("process", None, "threads", len(tids), "count"))
        for tid in tids:
            readings += _thread_readings(tid)
        return readings

    def machine_readings(self) -> list[Reading]:
        readings: list[Reading] = []
        try:
            fields = _read("/proc/stat").split(b"\n", 1)[0].split()
            readings.append(("machine", None, "steal_ns", int(fields[_STEAL_FIELD]) * _TICK_NS, "ns"))
        except (OSError, ValueError, IndexError):
            pass
        throttled = _throttled_ns()
        if throttled is not None:
            readings.append(("machine", None, "throttled_ns", throttled, "ns"))
        return readings


def _process_readings() -> list[Reading]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        ("process", None, "cpu_ns", time.process_time_ns(), "ns"),
        ("process", None, "voluntary_switches", usage.ru_nvcsw, "count"),
        ("process", None, "involuntary_switches", usage.ru_nivcsw, "count"),
    ]


def _own_tids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc/self/task"))  # noqa: PTH208 - pathlib costs a worker 3 ms


def _thread_readings(tid: int) -> list[Reading]:
    folder = f"/proc/self/task/{tid}"
    try:
        on_cpu, delay, slices = _read(f"{folder}/schedstat").split()
        status = _read(f"{folder}/status").split()
        voluntary = int(status[status.index(b"voluntary_ctxt_switches:") + 1])
        involuntary = int(status[status.index(b"nonvoluntary_ctxt_switches:") + 1])
    except (OSError, ValueError, IndexError):
        # The thread ended between listing and reading, or this kernel has no schedstat: no reading, no guess.
        return []
    return [
        ("thread", tid, "cpu_ns", int(on_cpu), "ns"),
        ("thread", tid, "run_queue_wait_ns", int(delay), "ns"),
        ("thread", tid, "timeslices", int(slices), "count"),
        ("thread", tid, "voluntary_switches", voluntary, "count"),
        ("thread", tid, "involuntary_switches", involuntary, "count"),
    ]


def _throttled_ns() -> int | None:
    """Time the CPU quota of the process's cgroup, or of one above it, stopped it; None where there is no such count.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and, for version 1, scheduler/sched-bwc.rst.
    """
    try:
        lines = _read("/proc/self/cgroup").decode().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers == "":
            found += [_throttled_in(folder, b"throttled_usec", 1000) for folder in _upward("/sys/fs/cgroup", inside)]
        elif "cpu" in controllers.split(","):
            root = f"/sys/fs/cgroup/{controllers}"
            found += [_throttled_in(folder, b"throttled_time", 1) for folder in _upward(root, inside)]
    return max((value for value in found if value is not None), default=None)


def _upward(root: str, inside: str) -> list[str]:
    """The folder of a cgroup and those above it."""
    parts = [part for part in inside.split("/") if part]
    return ["/".join([root, *parts[:count]]) for count in range(len(parts), -1, -1)]


def _throttled_in(folder: str, name: bytes, scale: int) -> int | None:
    try:
        words = _read(f"{folder}/cpu.stat").split()
        return int(words[words.index(name) + 1]) * scale
    except (OSError, ValueError, IndexError):
        return None


def _read(path: str) -> bytes:
    # Bytes, because the first text file of a process imports a codec, and a worker's start is being measured.
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs a worker 3 ms
        return file.read()


SOURCE = LinuxSource()
