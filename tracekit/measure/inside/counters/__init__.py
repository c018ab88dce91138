"""Counters of the operating system, read inside the measured process: stdlib only, and nothing that gives up the GIL
while a task runs.

Two moments have two prices. `task_reading` is taken twice per task on the task's own thread: plain system calls
without a GIL release, about 4 µs per task in all, so that reading does not itself cause a GIL handoff.
`process_readings` is taken twice per process, outside every task, and may read files.
"""

from __future__ import annotations

import sys

from tracekit.core.registry import Registry

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    TaskReading = tuple[int, int | None, int | None]
    """What the calling thread has used so far: CPU ns, voluntary and involuntary switches (None: not counted here)."""

    Reading = tuple[str, int | None, str, int, str]
    """One counter at one moment: scope (thread, process, machine), tid (None above a thread), name, value, unit."""


class CounterSource:
    """Reads counters of the operating system. `name` is stored with every reading."""

    name = ""

    def available(self) -> bool:
        """Whether this system has what the source reads."""
        raise NotImplementedError

    def task_reading(self) -> TaskReading:
        """What the calling thread has used so far."""
        raise NotImplementedError

    def process_readings(self) -> list[Reading]:
        """The process and each of its threads."""
        raise NotImplementedError

    def machine_readings(self) -> list[Reading]:
        """What belongs to no process: steal, throttling. Empty where the system does not tell."""
        return []


_HERE = "tracekit.measure.inside.counters"

COUNTERS = Registry(
    "counter source",
    {
        "linux": (
            f"{_HERE}.linux:SOURCE",
            "getrusage and /proc: switches, run-queue delay, steal",
        ),
        "portable": (
            f"{_HERE}.portable:SOURCE",
            "CPU time per thread; what macOS and Windows offer",
        ),
    },
    listed="tracekit doctor",
)


def choose(name: str) -> CounterSource:
    """The source of that name; `auto` is `linux` where that works, else `portable`. Raises UsageError."""
    if name == "auto":
        linux: CounterSource | None = COUNTERS.load("linux") if sys.platform == "linux" else None
        if linux is not None and linux.available():
            return linux
        name = "portable"
    source: CounterSource = COUNTERS.load(name)
    return source
