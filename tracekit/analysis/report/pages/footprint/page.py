"""The page of the footprint of a worker: memory and counts by phase, how many workers the limits allow, exhaustion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.cells import Number
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.footprint import memory_figure
from tracekit.analysis.report.pages.footprint.numbers import (
    FIRST,
    LOWERED,
    START_METHODS,
    UP,
    FootprintNumbers,
    find_footprints,
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

PHASES = {
    "up": "Started",
    "worked": "After work",
    "collected": "After gc.collect()",
    "touched": "After reading inherited data",
}
"""Phase -> its column."""
LIMITS = {
    "nofile": "RLIMIT_NOFILE",
    "nproc": "RLIMIT_NPROC",
    "pids": "pids.max",
    "machine": "threads-max, pid_max",
    "memory": "memory.max",
    "available": "Memory available",
}
"""Limit -> its name on the system."""
CAVEATS = (
    "As the memory of your workers: these import nothing but what multiprocessing does, and hold the data that they "
    "made. What your workers import and load comes on top.",
    "As the cost of inherited data that is read once: it is copied page by page as it is read, and what is never read "
    "stays shared.",
    "As a number of workers on a busy machine: it is what the limits left when the program was alone, divided by what "
    "one more worker takes. Other programs of the user, container or machine take from the same.",
)

_OF_THREADS = "Of a thread: the growth of the program."


def build_page(analysis: Analysis) -> PageView | None:
    """None for a suite without footprints."""
    tables = analysis.tables
    found = groups(tables)
    footprints = find_footprints(found)
    if not footprints:
        return None
    return subject_page(
        [group for group in found if group.cells or group.traced],
        verdicts=[verdict(numbers) for numbers in footprints],
        summary=summary_table(footprints),
        figures=[memory_figure.figure(numbers) for numbers in footprints],
        sections=[section(footprints)],
        caveats=CAVEATS,
    )


def verdict(numbers: FootprintNumbers) -> Verdict:
    """The memory of one more worker, and of a forked one after a garbage collection, in two sentences."""
    each = {name: value_text(numbers.by_phase[name, UP, "pss_bytes"]) for name in numbers.start_methods()}
    lead = f"One more thread takes {each['threads']}"
    others = [
        f"{words} {each[name]}"
        for name, words in (
            ("fork", "a forked process"),
            ("forkserver", "a process of the fork server"),
            ("spawn", "a spawned process"),
        )
        if name in each
    ]
    rest = f", {', '.join(others)}." if others else "."
    copied, frozen = (numbers.by_phase.get((name, "collected", "pss_bytes")) for name in ("fork", "fork-frozen"))
    touched = numbers.by_phase.get(("fork", "touched", "pss_bytes"))
    if copied and frozen:
        rest += (
            f" After a garbage collection a forked process takes {value_text(copied)}, with gc.freeze() before the "
            f"fork {value_text(frozen)}"
        )
        rest += f"; after reading all inherited objects {value_text(touched)}." if touched else "."
    return Verdict(label=numbers.group.label, outcome="level", lead=lead, rest=rest)


def summary_table(found: Sequence[FootprintNumbers]) -> TableView:
    """PSS of one more worker in each phase."""
    table = _memory_table(
        found, "PSS of one more worker", "PSS: shared pages are divided by the number of their users.", "pss_bytes"
    )
    return replace(table, explained=dict.fromkeys(PHASES.values(), (f"figure-{memory_figure.SLUG}",)))


def _memory_table(found: Sequence[FootprintNumbers], title: str, meaning: str, what: str) -> TableView:
    return _table(
        found,
        title,
        f"{meaning} Means over the workers that were added; medians of the repeats, with 95 % intervals.",
        (("Worker", ""), *((title, "") for title in PHASES.values())),
        lambda numbers, name: tuple(_field(numbers.by_phase.get((name, phase, what))) for phase in PHASES),
    )


def section(found: Sequence[FootprintNumbers]) -> Section:
    """The other figures of a worker, how many workers the limits allow, and the errors at a limit."""
    limits = [
        limit
        for limit in LIMITS
        if any((name, limit) in numbers.possible for numbers in found for name in numbers.start_methods())
    ]
    tables = [
        _memory_table(found, "USS of one more worker", f"Memory of its process alone. {_OF_THREADS}", "uss_bytes"),
        _memory_table(
            found, "RSS of one more worker", f"Memory in RAM, shared pages in full. {_OF_THREADS}", "rss_bytes"
        ),
        _table(
            found,
            "Descriptors, threads and processes",
            "Of one more worker; beneath it of the first one, with what any number of workers needs once.",
            (
                ("Worker", ""),
                ("Descriptors", "first"),
                ("In the program itself", "first"),
                ("Threads", "first"),
                ("Processes", "first"),
            ),
            lambda numbers, name: tuple(
                TableField(
                    main=_text(numbers.by_phase.get((name, UP, what))),
                    sub=_text(numbers.by_phase.get((name, FIRST, what))),
                )
                for what in ("fds", "parent_fds", "tasks", "processes")
            ),
        ),
        _table(
            found,
            "Workers that each limit allows",
            "What the limit leaves, divided by what one more worker takes of it; of memory, the most that it takes in "
            "any phase. The smallest number of a row applies.",
            (("Worker", ""), *((LIMITS[limit], "") for limit in limits)),
            lambda numbers, name: tuple(_field(numbers.possible.get((name, limit)), "no limit") for limit in limits),
            (LegendItem(mark="no limit", text="the system has none, or such a worker takes nothing of it"),),
        ),
    ]
    if any(numbers.exhausted for numbers in found):
        tables.append(_exhaustion_table(found))
    return Section(slug="limits", title="Limits", tables=tuple(tables), in_terminal=True)


def _exhaustion_table(found: Sequence[FootprintNumbers]) -> TableView:
    several = len(found) > 1
    return TableView(
        title="Errors at a limit",
        caption="A program of its own lowers one of its limits and starts workers until it gets no more.",
        columns=(("Worker", ""), ("Its limit", ""), ("Workers", "interval"), ("Error", "")),
        groups=tuple(
            RowGroup(
                label=numbers.group.label if several else "",
                rows=tuple(_exhaustion_row(numbers, name, limit) for name, limit in numbers.exhausted),
            )
            for numbers in found
            if numbers.exhausted
        ),
        legend=(),
    )


def _exhaustion_row(numbers: FootprintNumbers, name: str, limit: str) -> TableRow:
    observed = numbers.exhausted[name, limit]
    started, error, skipped = (observed.get(what) for what in ("started", "error", "skipped"))
    text = error.text if error else f"skipped: {skipped.text}" if skipped else "no error"
    return TableRow(
        family=_family(name),
        label=name,
        detail=START_METHODS.get(name, ""),
        fields=(
            TableField(main=LOWERED.get(limit, limit), words=True),
            _field(started.number if started else None),
            TableField(main=text, words=True),
        ),
    )


def _table(
    found: Sequence[FootprintNumbers],
    title: str,
    caption: str,
    columns: tuple[tuple[str, str], ...],
    fields: Callable[[FootprintNumbers, str], tuple[TableField, ...]],
    legend: tuple[LegendItem, ...] = (),
) -> TableView:
    several = len(found) > 1
    return TableView(
        title=title,
        caption=caption,
        columns=columns,
        groups=tuple(
            RowGroup(
                label=numbers.group.label if several else "",
                rows=tuple(
                    TableRow(family=_family(name), label=name, detail=START_METHODS[name], fields=fields(numbers, name))
                    for name in numbers.start_methods()
                ),
            )
            for numbers in found
        ),
        legend=legend,
    )


def _family(start_method: str) -> str:
    return "threads" if start_method == "threads" else "processes"


def _field(number: Number | None, absent: str = "–") -> TableField:
    return TableField(main=absent) if number is None else TableField(main=value_text(number), sub=interval_text(number))


def _text(number: Number | None) -> str:
    return "–" if number is None else value_text(number)
