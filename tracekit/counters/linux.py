"""Linux: getrusage for switches, /proc for run-queue delay and steal. No privileges needed.

Sources: proc(5), and the kernel's Documentation/scheduler/sched-stats.rst for `schedstat` (on-CPU ns, run-queue delay
ns, timeslices).
"""

from __future__ import annotations

import os
import resource
import time

from tracekit.counters import CounterSource

TYPE_CHECKING = False  # see tracekit/registry.py
if TYPE_CHECKING:
    from tracekit.counters import Reading, TaskReading

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
        return readings + _machine_readings()


def _process_readings() -> list[Reading]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        ("process", None, "cpu_ns", time.process_time_ns(), "ns"),
        ("process", None, "voluntary_switches", usage.ru_nvcsw, "count"),
        ("process", None, "involuntary_switches", usage.ru_nivcsw, "count"),
    ]


def _own_tids() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc/self/task"))  # noqa: PTH208 - pathlib costs a worker 5 ms


def _thread_readings(tid: int) -> list[Reading]:
    folder = f"/proc/self/task/{tid}"
    try:
        on_cpu, delay, slices = _read(f"{folder}/schedstat").split()
        status = dict(line.split(":", 1) for line in _read(f"{folder}/status").splitlines() if "ctxt_switches" in line)
    except (OSError, ValueError):
        # The thread ended between listing and reading, or this kernel has no schedstat: no reading, no guess.
        return []
    return [
        ("thread", tid, "cpu_ns", int(on_cpu), "ns"),
        ("thread", tid, "run_queue_wait_ns", int(delay), "ns"),
        ("thread", tid, "timeslices", int(slices), "count"),
        ("thread", tid, "voluntary_switches", int(status["voluntary_ctxt_switches"]), "count"),
        ("thread", tid, "involuntary_switches", int(status["nonvoluntary_ctxt_switches"]), "count"),
    ]


def _machine_readings() -> list[Reading]:
    readings: list[Reading] = []
    try:
        fields = _read("/proc/stat").split("\n", 1)[0].split()
        readings.append(("machine", None, "steal_ns", int(fields[_STEAL_FIELD]) * _TICK_NS, "ns"))
    except (OSError, ValueError, IndexError):
        pass
    throttled = _throttled_ns()
    if throttled is not None:
        readings.append(("machine", None, "throttled_ns", throttled, "ns"))
    return readings


def _throttled_ns() -> int | None:
    """Time the process's cgroup (version 2) was stopped by its CPU quota; None where there is no such count."""
    try:
        line = next(line for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::"))
        stat = _read(f"/sys/fs/cgroup{line[3:].rstrip('/')}/cpu.stat")
        throttled = next(line for line in stat.splitlines() if line.startswith("throttled_usec"))
        return int(throttled.split()[1]) * 1000
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - as above
        return file.read()


SOURCE = LinuxSource()
