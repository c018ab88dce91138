"""The report of `ipc`: what it costs to talk to another process or thread, by channel and size of the message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracekit.analysis.metrics.cells.observed import PREFIX
from tracekit.analysis.report.cells import Group, Number
from tracekit.analysis.report.views import Field, LegendItem, Row, RowGroup, Section, TableView, Verdict
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import format_bytes

ROUND_TRIP, ROUND_TRIP_P99 = "round_trip_p50_ns", "round_trip_p99_ns"
THROUGHPUT = "throughput_bytes_per_s"
DUMPS, LOADS, PICKLED = "dumps_ns", "loads_ns", "pickled_bytes"

_NAME = re.compile(rf"{re.escape(PREFIX)}(?P<channel>[a-z-]+)\.(?P<count>\d+)(?P<unit>B|KiB|MiB)\.(?P<what>[a-z0-9_]+)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_OF_THREADS = "thread-queue"
_KINDS = {
    "thread-queue": "queue.Queue, between threads",
    "pipe": "multiprocessing.Pipe, one way each",
    "unix-socket": "AF_UNIX stream",
    "tcp-socket": "TCP on 127.0.0.1",
    "shared-memory": "SharedMemory, told of by a pipe",
    "file": "a file, told of by a pipe",
    "simple-queue": "multiprocessing.SimpleQueue",
    "queue": "multiprocessing.Queue",
    "manager": "Queue of a Manager, by proxies",
    "pickle-bytes": "a bytes object",
    "pickle-floats": "a list of floats",
    "pickle-out-of-band": "protocol 5, the buffer left out",
}

DOUBTS = (
    "One pair of talkers on an otherwise idle machine. With more of them the channels share locks, CPUs and memory "
    "bandwidth.",
    "Small messages wait for the other side to be woken: a busy or a virtual machine takes longer.",
    "The file is in the page cache; nothing is brought to the disk.",
    "Between threads only a reference goes over, whatever the size: there are no bytes a second.",
)
"""What to keep in mind about these numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What was seen of one interpreter: (channel, bytes, what) -> number."""

    group: Group
    numbers: dict[tuple[str, int, str], Number]

    def channels(self, *whats: str) -> list[str]:
        """Those of which one of these is known, in the order of the workload."""
        return list(dict.fromkeys(channel for channel, _, what in self.numbers if what in whats))

    def sizes(self) -> list[int]:
        return sorted({size for _, size, _ in self.numbers})

    def get(self, channel: str, size: int, what: str) -> Number | None:
        return self.numbers.get((channel, size, what))


def talks(groups: Iterable[Group]) -> tuple[Talk, ...]:
    """One for each group in which round trips were measured; none for other workloads than `ipc`."""
    found = []
    for group in groups:
        numbers = {}
        for cell in group.cells:
            for number in cell.every:
                match = _NAME.fullmatch(number.metric)
                if match and number.available:
                    size = int(match["count"]) * _BYTES[match["unit"]]
                    numbers[match["channel"], size, match["what"]] = number
        if any(what == ROUND_TRIP for _, _, what in numbers):
            found.append(Talk(group=group, numbers=numbers))
    return tuple(found)


def verdict(talk: Talk) -> Verdict:
    """The quickest and the slowest way for a small message, and the best for a large one, in one sentence."""
    small, large = talk.sizes()[0], talk.sizes()[-1]
    ways = {
        channel: number
        for channel in talk.channels(ROUND_TRIP)
        if channel != _OF_THREADS and (number := talk.get(channel, small, ROUND_TRIP))
    }
    ordered = sorted(ways, key=lambda channel: ways[channel].value or 0)
    threads = talk.get(_OF_THREADS, small, ROUND_TRIP)
    lead = (
        f"{format_bytes(small)} to another process and back takes {value_text(ways[ordered[0]])} over {ordered[0]} and "
        f"{value_text(ways[ordered[-1]])} over {ordered[-1]}"
    )
    between = f", to another thread {value_text(threads)}" if threads else ""
    return Verdict(label=talk.group.label, outcome="level", lead=lead, rest=f"{between}.{_large(talk, large)}")


def _large(talk: Talk, size: int) -> str:
    speeds = {
        channel: number for channel in talk.channels(THROUGHPUT) if (number := talk.get(channel, size, THROUGHPUT))
    }
    if not speeds:
        return ""
    best = max(speeds, key=lambda channel: speeds[channel].value or 0)
    worst = min(speeds, key=lambda channel: speeds[channel].value or 0)
    dumps, loads = (talk.get("pickle-floats", size, what) for what in (DUMPS, LOADS))
    pickling = (
        f" Making a pickle of as many bytes of floats takes {value_text(dumps)}, and {value_text(loads)} to read it."
        if dumps and loads
        else ""
    )
    return (
        f" {format_bytes(size)} at a time one way: {best} carries {value_text(speeds[best])} a second, {worst} "
        f"{value_text(speeds[worst])}.{pickling}"
    )


def summary_table(found: Sequence[Talk]) -> TableView:
    """Round trips: a row per channel, a column per size."""
    return _table(
        found,
        "There and back",
        "A message to the other side and back; median, and beneath it the 99th percentile where 200 were made.",
        ROUND_TRIP,
        below=ROUND_TRIP_P99,
    )


def section(found: Sequence[Talk]) -> Section:
    """Throughput, and what pickling costs apart from it."""
    return Section(
        slug="talking",
        title="Carrying and pickling",
        sentences=(
            "What `multiprocessing` carries between processes is pickled first, but for bytes over a pipe: add making "
            "and reading the pickle to the way.",
        ),
        tables=(
            _table(found, "One way", "Bytes a second, many messages after one another.", THROUGHPUT),
            _table(found, "Making a pickle", "`pickle.dumps` of an object of that many bytes.", DUMPS),
            _table(found, "Reading a pickle", "`pickle.loads` of the same.", LOADS),
            _table(
                found, "Bytes of the pickle", "What has to be carried; out of band the buffer is not in it.", PICKLED
            ),
        ),
    )


def _table(found: Sequence[Talk], title: str, caption: str, what: str, below: str = "") -> TableView:
    sizes = sorted({size for talk in found for size in talk.sizes()})
    several = len(found) > 1
    return TableView(
        title=title,
        caption=f"{caption} Median of the repeats{'' if below else ', with its 95 % interval'}.",
        columns=(("Channel", ""), *((format_bytes(size), "") for size in sizes)),
        groups=tuple(
            RowGroup(
                label=talk.group.label if several else "",
                rows=tuple(_row(talk, channel, sizes, what, below) for channel in talk.channels(what)),
            )
            for talk in found
        ),
        legend=(LegendItem(mark="–", text="not measured at that size"),) if below else (),
    )


def _row(talk: Talk, channel: str, sizes: Sequence[int], what: str, below: str) -> Row:
    return Row(
        family="threads" if channel == _OF_THREADS else "processes",
        label=channel,
        detail=_KINDS.get(channel, ""),
        fields=tuple(_field(talk, channel, size, what, below) for size in sizes),
    )


def _field(talk: Talk, channel: str, size: int, what: str, below: str) -> Field:
    number = talk.get(channel, size, what)
    if number is None:
        return Field(main="–")
    if not below:
        return Field(main=value_text(number), sub=interval_text(number))
    p99 = talk.get(channel, size, below)
    return Field(main=value_text(number), sub=value_text(p99) if p99 else "")
