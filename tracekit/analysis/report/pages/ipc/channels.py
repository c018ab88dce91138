"""The numbers of one interpreter's channels, by size of the message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracekit.analysis.report.cells import CellGroup, Number

ROUND_TRIP, ROUND_TRIP_P99 = "round_trip_p50_ns", "round_trip_p99_ns"
THROUGHPUT = "throughput_bytes_per_s"
DUMPS, LOADS, PICKLED = "dumps_ns", "loads_ns", "pickled_bytes"
BY_REFERENCE = "thread-queue"
"""The channel between threads, which copies nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelNumbers:
    """`numbers`: (channel, bytes of the message, what was observed) -> number, in the order of the workload."""

    group: CellGroup
    numbers: dict[tuple[str, int, str], Number]

    def channels(self, *whats: str) -> list[str]:
        """The channels that have one of these observations."""
        return list(dict.fromkeys(channel for channel, _, what in self.numbers if what in whats))

    def sizes(self) -> list[int]:
        return sorted({size for _, size, _ in self.numbers})

    def get(self, channel: str, size: int, what: str) -> Number | None:
        return self.numbers.get((channel, size, what))


def find_channels(groups: Iterable[CellGroup]) -> tuple[ChannelNumbers, ...]:
    """The numbers of each group that has round trips."""
    found = []
    for group in groups:
        numbers = {
            (item.channel, item.size, item.what): item.number
            for cell in group.cells
            for item in cell.observed
            if item.channel and item.size is not None and item.number.available
        }
        if any(what == ROUND_TRIP for _, _, what in numbers):
            found.append(ChannelNumbers(group=group, numbers=numbers))
    return tuple(found)
