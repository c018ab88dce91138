"""The report of `holding`: what one more worker holds, how many there can be, and what running out looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tracekit.analysis.metrics.cells.observed import PREFIX
from tracekit.analysis.report.cells import Group, Number
from tracekit.analysis.report.views import Field, LegendItem, Row, RowGroup, Section, TableView, Verdict
from tracekit.analysis.report.wording import interval_text, value_text

WAYS = {
    "threads": "threading.Thread",
    "fork": "multiprocessing, forked",
    "fork-frozen": "the same after gc.freeze()",
    "forkserver": "multiprocessing, of the fork server",
    "spawn": "multiprocessing, spawned",
}
MOMENTS = {
    "up": "Up",
    "worked": "After work",
    "collected": "After gc.collect()",
    "touched": "After looking",
}
LIMITS = {
    "nofile": "RLIMIT_NOFILE",
    "nproc": "RLIMIT_NPROC",
    "pids": "pids.max",
    "machine": "threads-max, pid_max",
    "memory": "memory.max",
    "available": "Memory available",
}
ERRORS = (
    "no error",
    "RuntimeError: can't start new thread",
    "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    "OSError: [Errno 24] Too many open files",
    "MemoryError",
    "another error",
)
"""What `observed.exhaustion.*.error` is a place in; workloads/holding.py has the same."""
LOWERED = {
    "address-space": "256 MiB more address space (RLIMIT_AS)",
    "tasks": "24 more threads of the user (RLIMIT_NPROC)",
    "descriptors": "40 descriptors (RLIMIT_NOFILE)",
}

DOUBTS = (
    "Memory is that of a program with nothing but what multiprocessing imports and the data it made: what a worker of "
    "yours imports and loads comes on top.",
    "Workers that look at inherited data one by one copy it page by page; what they never look at stays shared.",
    "How many workers there can be is what the limits left when the program was alone, over what one more takes. Other "
    "programs of the same user, container or machine take from the same.",
)
"""What to keep in mind about these numbers."""

_OF_THREADS = "Of a thread: what the program has more of."

_NAME = re.compile(rf"{re.escape(PREFIX)}(?P<way>[a-z-]+)\.(?P<moment>[a-z]+(?:-\d+)?)\.(?P<what>[a-z_]+)")
_UNTIL = re.compile(rf"{re.escape(PREFIX)}(?P<way>[a-z-]+)\.until_(?P<limit>[a-z]+)")
_EXHAUSTED = re.compile(
    rf"{re.escape(PREFIX)}exhaustion\.(?P<way>[a-z-]+)\.(?P<what>[a-z-]+)\.(?P<said>started|error|skipped)"
)
_TOTAL = re.compile(r"total-(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was seen of one interpreter.

    numbers     (way, moment, what) -> number
    until       (way, limit) -> how many workers there can be
    exhausted   (way, what ran out, started|error|skipped) -> number
    """

    group: Group
    numbers: dict[tuple[str, str, str], Number]
    until: dict[tuple[str, str], Number]
    exhausted: dict[tuple[str, str, str], Number]

    def ways(self) -> list[str]:
        """In the order of the workload."""
        return [way for way in WAYS if (way, "up", "pss_bytes") in self.numbers]

    def totals(self, way: str) -> list[tuple[int, float]]:
        """(workers, PSS of all that they added), one after another."""
        found = [
            (int(match.group(1)), number.value)
            for (of_way, moment, _), number in self.numbers.items()
            if of_way == way and (match := _TOTAL.fullmatch(moment)) and number.value is not None
        ]
        return sorted(found)


def held(groups: Iterable[Group]) -> tuple[Held, ...]:
    """One for each group in which it was measured; none for other workloads than `holding`."""
    found = []
    for group in groups:
        seen = Held(group=group, numbers={}, until={}, exhausted={})
        for number in (item for cell in group.cells for item in cell.every if item.available):
            if match := _EXHAUSTED.fullmatch(number.metric):
                seen.exhausted[match["way"], match["what"], match["said"]] = number
            elif match := _UNTIL.fullmatch(number.metric):
                seen.until[match["way"], match["limit"]] = number
            elif match := _NAME.fullmatch(number.metric):
                seen.numbers[match["way"], match["moment"], match["what"]] = number
        if ("threads", "up", "pss_bytes") in seen.numbers:
            found.append(seen)
    return tuple(found)


def verdict(seen: Held) -> Verdict:
    """What one more costs, and what a fork loses that looks at what it inherited, in one sentence."""
    each = {way: value_text(seen.numbers[way, "up", "pss_bytes"]) for way in seen.ways()}
    lead = f"One more thread holds {each['threads']}"
    others = [
        f"{words} {each[way]}"
        for way, words in (
            ("fork", "a forked process"),
            ("forkserver", "one of the fork server"),
            ("spawn", "a spawned one"),
        )
        if way in each
    ]
    rest = f", {', '.join(others)}." if others else "."
    copied, frozen = (seen.numbers.get((way, "collected", "pss_bytes")) for way in ("fork", "fork-frozen"))
    touched = seen.numbers.get(("fork", "touched", "pss_bytes"))
    if copied and frozen:
        rest += (
            f" After a garbage collection a forked process holds {value_text(copied)}, with gc.freeze() before the "
            f"fork {value_text(frozen)}"
        )
        rest += f"; once it has looked at all inherited objects {value_text(touched)}." if touched else "."
    return Verdict(label=seen.group.label, outcome="level", lead=lead, rest=rest)


def summary_table(found: Sequence[Held]) -> TableView:
    """PSS of one more worker at each moment."""
    return _memory_table(
        found, "What one more worker holds", "PSS: shared pages divided by the number of their users.", "pss_bytes"
    )


def _memory_table(found: Sequence[Held], title: str, what: str, counter: str) -> TableView:
    return _table(
        found,
        title,
        f"{what} Means over the workers that were added; medians of the repeats, with 95 % intervals.",
        (("Worker", ""), *((title, "") for title in MOMENTS.values())),
        lambda seen, way: tuple(_field(seen.numbers.get((way, moment, counter))) for moment in MOMENTS),
        (),
    )


def section(found: Sequence[Held]) -> Section:
    """How many there can be, and what happens then."""
    limits = [limit for limit in LIMITS if any((way, limit) in seen.until for seen in found for way in seen.ways())]
    tables = [
        _memory_table(found, "What it alone holds", f"USS of a worker process. {_OF_THREADS}", "uss_bytes"),
        _memory_table(found, "In RAM", f"RSS of a worker process, shared pages in full. {_OF_THREADS}", "rss_bytes"),
        _table(
            found,
            "What else it takes",
            "A further worker; beneath it the first one with what any number of them needs once.",
            (
                ("Worker", ""),
                ("Descriptors", "first"),
                ("In the program itself", "first"),
                ("Threads", "first"),
                ("Processes", "first"),
            ),
            lambda seen, way: tuple(
                Field(
                    main=_text(seen.numbers.get((way, "up", what))),
                    sub=_text(seen.numbers.get((way, "first", what))),
                )
                for what in ("fds", "parent_fds", "tasks", "processes")
            ),
            (),
        ),
        _table(
            found,
            "How many there can be",
            "What each limit leaves, over what one more worker takes of it; of memory the most that it held at any "
            "moment. The least of a row is where it ends.",
            (("Worker", ""), *((LIMITS[limit], "") for limit in limits)),
            lambda seen, way: tuple(_field(seen.until.get((way, limit)), "no limit") for limit in limits),
            (LegendItem(mark="no limit", text="there is none here, or such a worker takes nothing of it"),),
        ),
    ]
    if any(seen.exhausted for seen in found):
        tables.append(_exhaustion(found))
    return Section(slug="limits", title="Until nothing is left", tables=tuple(tables), in_terminal=True)


def _exhaustion(found: Sequence[Held]) -> TableView:
    several = len(found) > 1
    return TableView(
        title="What running out looks like",
        caption="A program of its own lowers one of its limits and starts workers until it gets no more.",
        columns=(("Worker", ""), ("Its limit", ""), ("Workers", "interval"), ("What it is told", "")),
        groups=tuple(
            RowGroup(
                label=seen.group.label if several else "",
                rows=tuple(
                    _exhausted_row(seen, way, what)
                    for way, what in dict.fromkeys((way, what) for way, what, _ in seen.exhausted)
                ),
            )
            for seen in found
            if seen.exhausted
        ),
        legend=(),
    )


def _exhausted_row(seen: Held, way: str, what: str) -> Row:
    started, error = (seen.exhausted.get((way, what, said)) for said in ("started", "error"))
    told = "skipped, stderr.log of the run says why"
    if started is not None and error is not None and error.value is not None:
        place = round(error.value)
        told = ERRORS[place] if 0 <= place < len(ERRORS) else ERRORS[-1]
    return Row(
        family=_family(way),
        label=way,
        detail=WAYS[way],
        fields=(
            Field(main=LOWERED.get(what, what), words=True),
            _field(started),
            Field(main=told, words=True),
        ),
    )


def _table(
    found: Sequence[Held],
    title: str,
    caption: str,
    columns: tuple[tuple[str, str], ...],
    fields: Callable[[Held, str], tuple[Field, ...]],
    legend: tuple[LegendItem, ...],
) -> TableView:
    several = len(found) > 1
    return TableView(
        title=title,
        caption=caption,
        columns=columns,
        groups=tuple(
            RowGroup(
                label=seen.group.label if several else "",
                rows=tuple(
                    Row(family=_family(way), label=way, detail=WAYS[way], fields=fields(seen, way))
                    for way in seen.ways()
                ),
            )
            for seen in found
        ),
        legend=legend,
    )


def _family(way: str) -> str:
    return "threads" if way == "threads" else "processes"


def _field(number: Number | None, absent: str = "–") -> Field:
    return Field(main=absent) if number is None else Field(main=value_text(number), sub=interval_text(number))


def _text(number: Number | None) -> str:
    return "–" if number is None else value_text(number)
