"""The fault matrix of the workload `crash`: what becomes of a program and its workers when one of them fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracekit.metrics.observed import PREFIX
from tracekit.report.cells import Group
from tracekit.report.views import Field, LegendItem, Row, RowGroup, TableView, Verdict
from tracekit.report.wording import plural
from tracekit.units import format_ns

_NAME = re.compile(
    rf"{re.escape(PREFIX)}(?P<pool>\w+)(-(?P<method>\w+))?\.(?P<fault>[a-z-]+)\.(?P<what>[a-z_]+)", re.ASCII
)

OUTCOMES = {
    "own": "only the task that failed is lost; the program and the other worker go on",
    "silent": "only the task that failed is lost, but nobody says so: without a time limit of its own the program "
    "would wait for the result for ever",
    "others": "the program lives, but results or tasks of others are lost, or their worker is",
    "hangs": "the program can neither go on nor end",
    "dies": "the whole program is gone, and everything that it had not written down",
}
"""What may become of it, from the mildest to the worst, and what that means."""


DOUBTS = (
    "Each case is one program that fails once. Where two things race, a result on its way and the end of a pool, say, "
    "another time it may come out otherwise: repeat with --runs 5 for medians.",
    "What becomes of the others is a property of this version of Python's pools, not of threads and processes as such.",
    "A time until it is noticed that comes from a time limit is that limit, which the program has chosen itself.",
)
"""What to keep in mind about the matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of worker and one way to fail, with the medians of what was seen; `noticed_ns` may be missing."""

    pool: str
    method: str
    fault: str
    seen: Mapping[str, float]

    @property
    def workers(self) -> str:
        """`Pool (fork)`."""
        return f"{self.pool} ({self.method})" if self.method else self.pool

    @property
    def family(self) -> str:
        if self.pool == "serial":
            return "serial"
        return "processes" if self.method else "threads"

    @property
    def outcome(self) -> str:
        """One of OUTCOMES."""
        if self.seen.get("parent_hangs"):
            return "hangs"
        if not self.seen.get("parent_lives"):
            return "dies"
        lost = self.seen.get("finished_lost", 0) + self.seen.get("pending_lost", 0)
        if lost or not self.seen.get("sibling_lives"):
            return "others"
        return "silent" if self.seen.get("noticed_by_limit") else "own"


def cases_of(group: Group) -> list[Case]:
    """The cases that a group's first untraced cell with any has seen; none for other workloads than `crash`."""
    for cell in group.cells:
        found: dict[tuple[str, str, str], dict[str, float]] = {}
        for number in cell.every:
            match = _NAME.fullmatch(number.metric)
            if match and number.value is not None:
                place = (match["pool"], match["method"] or "", match["fault"])
                found.setdefault(place, {})[match["what"]] = number.value
        if found:
            return [
                Case(pool=pool, method=method, fault=fault, seen=seen) for (pool, method, fault), seen in found.items()
            ]
    return []


def matrix_table(cases: Sequence[Case]) -> TableView:
    """A row per kind of worker, a column per fault, a word for what became of it."""
    faults = list(dict.fromkeys(case.fault for case in cases))
    rows = []
    for workers in dict.fromkeys(case.workers for case in cases):
        of_workers = {case.fault: case for case in cases if case.workers == workers}
        first = next(iter(of_workers.values()))
        rows.append(
            Row(
                family=first.family,
                label=first.pool,
                detail=first.method or {"serial": "one thread"}.get(first.pool, "threads"),
                fields=tuple(Field(main=of_workers[fault].outcome if fault in of_workers else "–") for fault in faults),
            )
        )
    return TableView(
        title="What a fault costs",
        caption="Two workers, seven tasks; one task fails in the given way while another one runs. Each case is a "
        "program of its own that really fails.",
        columns=(("Workers", ""), *((fault, "") for fault in faults)),
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=tuple(LegendItem(mark=outcome, text=text) for outcome, text in OUTCOMES.items()),
    )


def details_table(cases: Sequence[Case]) -> TableView:
    """A block per kind of worker with a row per fault."""
    return TableView(
        title="Case by case",
        caption="Lost: results that were computed and never came, and tasks that were never done, of the six others.",
        columns=(
            ("Fault", ""),
            ("Program", ""),
            ("Other worker", ""),
            ("Lost", "results, tasks"),
            ("Noticed after", ""),
            ("Left behind", ""),
        ),
        groups=tuple(
            RowGroup(label=workers, rows=tuple(_row(case) for case in cases if case.workers == workers))
            for workers in dict.fromkeys(case.workers for case in cases)
        ),
        legend=(),
    )


def _row(case: Case) -> Row:
    seen = case.seen
    program = "hangs" if seen.get("parent_hangs") else "lives" if seen.get("parent_lives") else "dies"
    finished, pending = int(seen.get("finished_lost", 0)), int(seen.get("pending_lost", 0))
    return Row(
        family=case.family,
        label=case.fault,
        detail=case.outcome,
        fields=(
            Field(main=program),
            Field(main="lives" if seen.get("sibling_lives") else "dies"),
            Field(main=f"{finished}, {pending}"),
            Field(
                main=format_ns(seen["noticed_ns"]) if "noticed_ns" in seen else "never",
                sub="its time limit" if seen.get("noticed_by_limit") else "",
            ),
            Field(main=str(int(seen.get("left_behind", 0)))),
        ),
    )


def verdict(cases: Sequence[Case]) -> Verdict:
    """The answer of the matrix in one sentence."""
    said, shares = [], []
    for family, what in (("threads", "a fault in a thread"), ("processes", "a fault in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            ended = sum(case.outcome in ("dies", "hangs") for case in of_family)
            said.append(f"{what} was the end of the whole program in {ended} of {plural(len(of_family), 'case')}")
            shares.append(ended / len(of_family))
    if not said:
        return Verdict(label="", outcome="level", lead=f"{plural(len(cases), 'fault')} without workers", rest=".")
    milder = "processes" if len(shares) == 2 and shares[1] < shares[0] else "level"
    rest = "".join(f", {text}" for text in said[1:])
    return Verdict(label="", outcome=milder, lead=said[0][:1].upper() + said[0][1:], rest=f"{rest}.")


def sentences(cases: Sequence[Case]) -> tuple[str, ...]:
    """What the matrix says in short: how often a fault of one worker was the end of the program."""
    said = []
    for family, what in (("threads", "in a thread"), ("processes", "in a worker process")):
        of_family = [case for case in cases if case.family == family]
        if of_family:
            dead = sum(case.outcome == "dies" for case in of_family)
            hung = sum(case.outcome == "hangs" for case in of_family)
            others = sum(case.outcome == "others" for case in of_family)
            silent = sum(case.outcome == "silent" for case in of_family)
            said.append(
                f"Of {plural(len(of_family), 'fault')} {what}, {dead} ended the whole program, {hung} left it hanging, "
                f"{others} cost results or tasks of others, and {silent} nobody would have noticed; the other "
                f"{len(of_family) - dead - hung - others - silent} cost only the task that failed."
            )
    return tuple(said)
