"""The page of messages between processes and threads: round trip, throughput and pickling, by channel and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.ipc import round_trip_figure
from tracekit.analysis.report.pages.ipc.channels import (
    BY_REFERENCE,
    DUMPS,
    LOADS,
    PICKLED,
    ROUND_TRIP,
    ROUND_TRIP_P99,
    THROUGHPUT,
    ChannelNumbers,
    find_channels,
)
from tracekit.analysis.report.pages.subject import subject_page
from tracekit.analysis.report.views import (
    LegendItem,
    PageView,
    RowGroup,
    Section,
    TableField,
    TableRow,
    TableView,
    Verdict,
)
from tracekit.analysis.report.wording import interval_text, value_text
from tracekit.core.units import format_bytes

_KINDS = {
    BY_REFERENCE: "queue.Queue, between threads",
    "pipe": "multiprocessing.Pipe, one for each direction",
    "unix-socket": "AF_UNIX stream",
    "tcp-socket": "TCP on 127.0.0.1",
    "shared-memory": "SharedMemory, announced by a pipe",
    "file": "a file, announced by a pipe",
    "simple-queue": "multiprocessing.SimpleQueue",
    "queue": "multiprocessing.Queue",
    "manager": "Queue of a Manager, by proxies",
    "pickle-bytes": "a bytes object",
    "pickle-floats": "a list of floats",
    "pickle-out-of-band": "protocol 5, the buffer left out",
}
"""Channel -> what it is."""

CAVEATS = (
    "For a busy machine: one pair exchanges messages on an otherwise idle machine. Several pairs share locks, CPUs and "
    "memory bandwidth.",
    "For small messages elsewhere: they wait until the other side is woken, which takes longer on a busy or virtual "
    "machine.",
    "For a disk: the file stays in the page cache.",
    "As bytes a second between threads: only a reference is passed, whatever the size.",
)


def build_page(analysis: Analysis) -> PageView | None:
    """None for a suite without round trips."""
    tables = analysis.tables
    found = groups(tables)
    channels = find_channels(found)
    if not channels:
        return None
    return subject_page(
        [group for group in found if group.cells or group.traced],
        verdicts=[verdict(numbers) for numbers in channels],
        summary=summary_table(channels),
        figures=[round_trip_figure.figure(numbers) for numbers in channels],
        sections=[section(channels)],
        caveats=CAVEATS,
    )


def verdict(numbers: ChannelNumbers) -> Verdict:
    """The fastest and the slowest channel for a small message and for a large one, in one sentence."""
    small, large = numbers.sizes()[0], numbers.sizes()[-1]
    times = {
        channel: number
        for channel in numbers.channels(ROUND_TRIP)
        if channel != BY_REFERENCE and (number := numbers.get(channel, small, ROUND_TRIP))
    }
    ordered = sorted(times, key=lambda channel: times[channel].value or 0)
    threads = numbers.get(BY_REFERENCE, small, ROUND_TRIP)
    lead = (
        f"A round trip of {format_bytes(small)} to another process takes {value_text(times[ordered[0]])} over "
        f"{ordered[0]} and {value_text(times[ordered[-1]])} over {ordered[-1]}"
    )
    between = f", to another thread {value_text(threads)}" if threads else ""
    return Verdict(label=numbers.group.label, outcome="level", lead=lead, rest=f"{between}.{_large(numbers, large)}")


def _large(numbers: ChannelNumbers, size: int) -> str:
    speeds = {
        channel: number
        for channel in numbers.channels(THROUGHPUT)
        if (number := numbers.get(channel, size, THROUGHPUT))
    }
    if not speeds:
        return ""
    best = max(speeds, key=lambda channel: speeds[channel].value or 0)
    worst = min(speeds, key=lambda channel: speeds[channel].value or 0)
    dumps, loads = (numbers.get("pickle-floats", size, what) for what in (DUMPS, LOADS))
    pickling = (
        f" Pickling as many bytes of floats takes {value_text(dumps)}, unpickling them {value_text(loads)}."
        if dumps and loads
        else ""
    )
    return (
        f" Throughput with messages of {format_bytes(size)}: {value_text(speeds[best])} a second over {best}, "
        f"{value_text(speeds[worst])} over {worst}.{pickling}"
    )


def summary_table(found: Sequence[ChannelNumbers]) -> TableView:
    """Round trips: a row per channel, a column per size."""
    table = _table(
        found,
        "Round trips",
        "A message to the other side and back: the median, and beneath it the 99th percentile of 200 and more.",
        ROUND_TRIP,
        below=ROUND_TRIP_P99,
    )
    sizes = (name for name, _ in table.columns[1:])
    return replace(table, explained=dict.fromkeys(sizes, (f"figure-{round_trip_figure.SLUG}",)))


def section(found: Sequence[ChannelNumbers]) -> Section:
    """Throughput, and what pickling costs apart from it."""
    return Section(
        slug="channels",
        title="Throughput and pickling",
        sentences=(
            "`multiprocessing` pickles what it sends between processes, except bytes over a pipe: add pickling and "
            "unpickling to the transfer.",
        ),
        tables=(
            _table(found, "Throughput", "Bytes a second one way, many messages after one another.", THROUGHPUT),
            _table(found, "Pickling", "`pickle.dumps` of an object of that many bytes.", DUMPS),
            _table(found, "Unpickling", "`pickle.loads` of the same.", LOADS),
            _table(
                found,
                "Size of the pickle",
                "The bytes that are sent; without the buffer where it is out of band.",
                PICKLED,
            ),
        ),
    )


def _table(found: Sequence[ChannelNumbers], title: str, caption: str, what: str, below: str = "") -> TableView:
    sizes = sorted({size for numbers in found for size in numbers.sizes()})
    several = len(found) > 1
    return TableView(
        title=title,
        caption=f"{caption} Median of the repeats{'' if below else ', with its 95 % interval'}.",
        columns=(("Channel", ""), *((format_bytes(size), "") for size in sizes)),
        groups=tuple(
            RowGroup(
                label=numbers.group.label if several else "",
                rows=tuple(_row(numbers, channel, sizes, what, below) for channel in numbers.channels(what)),
            )
            for numbers in found
        ),
        legend=(LegendItem(mark="–", text="not measured at that size"),) if below else (),
    )


def _row(numbers: ChannelNumbers, channel: str, sizes: Sequence[int], what: str, below: str) -> TableRow:
    return TableRow(
        family="threads" if channel == BY_REFERENCE else "processes",
        label=channel,
        detail=_KINDS.get(channel, ""),
        fields=tuple(_field(numbers, channel, size, what, below) for size in sizes),
    )


def _field(numbers: ChannelNumbers, channel: str, size: int, what: str, below: str) -> TableField:
    number = numbers.get(channel, size, what)
    if number is None:
        return TableField(main="–")
    if not below:
        return TableField(main=value_text(number), sub=interval_text(number))
    p99 = numbers.get(channel, size, below)
    return TableField(main=value_text(number), sub=value_text(p99) if p99 else "")
