"""Anywhere CPython runs: thread and process CPU time, and context switches of the process where getrusage has them.

This is what macOS and Windows offer. It is tested for real on Linux by forcing it (`--counters portable`). It has no
run-queue delay and no steal, so what is computed from it has wider intervals. On Windows there is no `resource`
module, hence no switches from inside the process.
"""

from __future__ import annotations

import threading
import time

from tracekit.measure.inside.counters import CounterSource

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from tracekit.measure.inside.counters import Reading, TaskReading

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class PortableSource(CounterSource):
    """See the module."""

    name = "portable"

    def available(self) -> bool:
        return True

    def task_reading(self) -> TaskReading:
        return (time.thread_time_ns(), None, None)

    def process_readings(self) -> list[Reading]:
        readings: list[Reading] = [
            ("process", None, "cpu_ns", time.process_time_ns(), "ns"),
            # Python's own threads only: the system's count is not to be had everywhere.
            ("process", None, "threads", threading.active_count(), "count"),
        ]
        if resource is not None:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            readings.append(("process", None, "voluntary_switches", usage.ru_nvcsw, "count"))
            readings.append(("process", None, "involuntary_switches", usage.ru_nivcsw, "count"))
        return readings


SOURCE = PortableSource()
