"""Reads the memory of the processes below this one, and the machine's steal, again and again while something runs.

It is a reader of its own, from /proc, beside those that are measured with.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tracekit.system.process_table import find_process

EVERY_S = 0.02
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class OutsideReadings:
    """What was read, in order of time. Stamps are CLOCK_MONOTONIC ns."""

    memory: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Process id -> stamp, USS and PSS in bytes."""
    steal: list[tuple[int, int]] = field(default_factory=list)
    """Stamp and the machine's steal so far, ns."""

    def find_memory(self, pid: int, at_ns: int) -> tuple[int, int] | None:
        """USS and PSS of the process by the first reading after that time; None without one."""
        return next(((uss, pss) for stamp, uss, pss in self.memory.get(pid, ()) if stamp >= at_ns), None)

    def find_steal(self, since_ns: int, until_ns: int) -> int | None:
        """The steal between the readings nearest to two times, ns; None without any."""
        if not self.steal:
            return None
        first, last = (min(self.steal, key=lambda reading: abs(reading[0] - at)) for at in (since_ns, until_ns))
        return last[1] - first[1]


@contextmanager
def read_outside() -> Iterator[OutsideReadings]:
    """Read in a thread while the context lasts."""
    readings, end = OutsideReadings(), threading.Event()
    thread = threading.Thread(target=_read_until, args=(readings, end), daemon=True)
    thread.start()
    try:
        yield readings
    finally:
        end.set()
        thread.join()


def _read_until(readings: OutsideReadings, end: threading.Event) -> None:
    own = find_process(os.getpid())
    while own is not None and not end.wait(EVERY_S):
        steal = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[8]
        readings.steal.append((time.monotonic_ns(), int(steal) * _TICK_NS))
        for child in own.children(recursive=True):
            try:
                sizes = _read_memory(child.pid)
            except OSError:
                continue
            readings.memory.setdefault(child.pid, []).append((time.monotonic_ns(), *sizes))


def _read_memory(pid: int) -> tuple[int, int]:
    """USS and PSS, bytes. Raises OSError where the process is gone."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, kilobytes = line.split()[:2]
        sizes[name] = int(kilobytes) * 1024
    return sizes["Private_Clean:"] + sizes["Private_Dirty:"] + sizes.get("Private_Hugetlb:", 0), sizes["Pss:"]
