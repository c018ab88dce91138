"""The numbers of one interpreter's workers: memory and counts by phase, what the limits allow, what exhaustion gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tracekit.analysis.report.cells import CellGroup, Number, ObservedNumber

START_METHODS = {
    "threads": "threading.Thread",
    "fork": "multiprocessing, forked",
    "fork-frozen": "the same after gc.freeze()",
    "forkserver": "multiprocessing, by the fork server",
    "spawn": "multiprocessing, spawned",
}
"""Start method -> what it is, in reading order."""
LOWERED = {
    "address-space": "256 MiB more address space (RLIMIT_AS)",
    "tasks": "24 more threads of the user (RLIMIT_NPROC)",
    "descriptors": "40 descriptors (RLIMIT_NOFILE)",
}
"""Limit that a program lowered for itself -> to what."""
UP, FIRST, TOTAL, EXHAUSTED = "up", "first", "total", "exhausted"


@dataclass(frozen=True, slots=True, kw_only=True)
class FootprintNumbers:
    """The observations of one group.

    by_phase    (start method, phase, what) -> number of one more worker
    totals      start method -> [(workers, PSS that all of them added in bytes)], by workers
    possible    (start method, limit) -> how many workers the limit allows
    exhausted   (start method, limit) -> what -> observation, of the programs that lowered a limit
    """

    group: CellGroup
    by_phase: dict[tuple[str, str, str], Number] = field(default_factory=dict)
    totals: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    possible: dict[tuple[str, str], Number] = field(default_factory=dict)
    exhausted: dict[tuple[str, str], dict[str, ObservedNumber]] = field(default_factory=dict)

    def start_methods(self) -> list[str]:
        """Those that were measured, in reading order."""
        return [name for name in START_METHODS if (name, UP, "pss_bytes") in self.by_phase]

    def add(self, item: ObservedNumber) -> None:
        """Sort one observation in."""
        if item.phase == EXHAUSTED:
            self.exhausted.setdefault((item.start_method, item.case), {})[item.what] = item
        elif item.what == "workers_possible":
            self.possible[item.start_method, item.case] = item.number
        elif item.phase == TOTAL and item.size is not None and item.number.value is not None:
            self.totals.setdefault(item.start_method, []).append((item.size, item.number.value))
            self.totals[item.start_method].sort()
        elif item.phase:
            self.by_phase[item.start_method, item.phase, item.what] = item.number


def find_footprints(groups: Iterable[CellGroup]) -> tuple[FootprintNumbers, ...]:
    """The numbers of each group in which the footprint of threads was measured."""
    found = []
    for group in groups:
        numbers = FootprintNumbers(group=group)
        for item in (item for cell in group.cells for item in cell.observed):
            if item.start_method and (item.text or item.number.available):
                numbers.add(item)
        if ("threads", UP, "pss_bytes") in numbers.by_phase:
            found.append(numbers)
    return tuple(found)
