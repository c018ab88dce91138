"""Who waited for the GIL while who held it, in which functions: as sentences, as a table, and as a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.report.names import Names
from tracekit.analysis.report.sections.wait_sites import short_place
from tracekit.analysis.report.views import Field, LegendItem, Row, RowGroup, TableView
from tracekit.analysis.report.wording import percent, plural
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns

COLUMNS = (
    ("Who waited", "in which function"),
    ("Who held the GIL", "in which function"),
    ("GIL wait", "of the whole run's"),
    ("Of this waiter's", ""),
    ("Waits", "mean"),
)
NOBODY = "nobody"
_MOST = 10
_MOST_TOLD = 5_000
"""Pairs that are told apart; a program with more of them has the others only in blame.csv."""
_SAID = 3
_NOTABLE = 0.1
"""A sentence is about at least this part of the run's GIL wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A thread in a function: empty where it is not known. `thread` is `nobody` while none held the GIL."""

    thread: str
    function: str
    place: str = ""

    @property
    def label(self) -> str:
        """Two short lines for a figure."""
        return f"{self.thread}\n{self.function}" if self.function else self.thread

    @property
    def said(self) -> str:
        """`worker 2 in `small``."""
        return f"{self.thread} in `{self.function}`" if self.function else self.thread


OTHERS = Who(thread="others", function="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`waiter` waited `ns` while `holder` held the GIL, in `waits` waits."""

    waiter: Who
    holder: Who
    ns: int
    waits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameView:
    """The blame of one run, the longest waits first. `whole` is its GIL wait in ns, `waited` that of each waiter."""

    entries: tuple[Entry, ...]
    whole: int
    waited: Mapping[Who, int]
    method: str
    frame: pd.DataFrame


def blame_of(analysis: Analysis, run_id: str, names: Names) -> BlameView | None:
    """The blame of a run; None where nobody saw a GIL wait in it."""
    frame = analysis.contention_attribution(run_id)
    if frame.empty or not int(frame["wait_ns"].sum()):
        return None
    entries = [
        Entry(
            waiter=_who(names, row, "waiter"),
            holder=_who(names, row, "holder"),
            ns=int(row["wait_ns"]),
            waits=int(row["waits"]),
        )
        for row in records(frame.iloc[:_MOST_TOLD])
    ]
    rest = frame.iloc[_MOST_TOLD:]
    if len(rest):
        ns, waits = int(rest["wait_ns"].sum()), int(rest["waits"].sum())
        entries.append(Entry(waiter=OTHERS, holder=OTHERS, ns=ns, waits=waits))
    together = _together(entries)
    waited: dict[Who, int] = {}
    for entry in together:
        waited[entry.waiter] = waited.get(entry.waiter, 0) + entry.ns
    return BlameView(
        entries=together,
        whole=sum(waited.values()),
        waited=waited,
        method=str(frame["method"].iloc[0]),
        frame=frame,
    )


def sentences(view: BlameView) -> tuple[str, ...]:
    """What a developer should know first: who kept whom waiting. Nothing where no pair stands out."""
    known = [
        entry
        for entry in view.entries
        if entry.holder.thread != NOBODY and entry.waiter != OTHERS and entry.ns >= _NOTABLE * view.whole
    ]
    return tuple(_sentence(entry, view.waited[entry.waiter]) for entry in known[:_SAID])


def blame_table(view: BlameView) -> TableView:
    """The largest entries."""
    shown, rest = view.entries[:_MOST], view.entries[_MOST:]
    rows = [_row(entry, view) for entry in shown]
    if rest:
        ns = sum(entry.ns for entry in rest)
        rows.append(
            Row(
                family="plain",
                label=plural(len(rest), "other pair"),
                detail="in blame.csv",
                fields=(
                    Field(main="–"),
                    Field(main=format_ns(ns), sub=percent(ns / view.whole)),
                    Field(main="–"),
                    Field(main=f"{sum(entry.waits for entry in rest):,}"),
                ),
            )
        )
    return TableView(
        title="Who waited for whom",
        caption=f"The GIL wait of the run, {format_ns(view.whole)}, by who held the GIL meanwhile; all of its threads.",
        columns=COLUMNS,
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(
            LegendItem(
                mark=NOBODY,
                text="between one thread's giving up the GIL and the next one's having it, and what no record covers",
            ),
            LegendItem(mark="function", text="a holder's is the one in which it gave up the GIL"),
        ),
    )


def blame_csv(view: BlameView) -> str:
    """Every entry as it was computed, for other programs; files as short as in the report, which is given to others."""
    short = {name: view.frame[name].map(_short, na_action="ignore") for name in ("waiter_file", "holder_file")}
    return view.frame.assign(**short).to_csv(index=False, lineterminator="\n")


def _short(file: str) -> str:
    return short_place(file, None)


def _sentence(entry: Entry, waited: int) -> str:
    return (
        f"{_capital(entry.holder.said)} held the GIL for {percent(entry.ns / waited)} of the time that "
        f"{entry.waiter.said} waited for it ({format_ns(entry.ns)} of {format_ns(waited)})."
    )


def _together(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Entries that read alike as one, the longest first."""
    sums: dict[tuple[Who, Who], tuple[int, int]] = {}
    for entry in entries:
        ns, waits = sums.get((entry.waiter, entry.holder), (0, 0))
        sums[entry.waiter, entry.holder] = (ns + entry.ns, waits + entry.waits)
    found = [Entry(waiter=key[0], holder=key[1], ns=ns, waits=waits) for key, (ns, waits) in sums.items()]
    return tuple(sorted(found, key=lambda entry: -entry.ns))


def _who(names: Names, row: dict[str, object], role: str) -> Who:
    tid, function, file = (row[f"{role}_{name}"] for name in ("tid", "function", "file"))
    if tid is None:
        return Who(thread=NOBODY, function="")
    pid = row["pid"]
    assert isinstance(pid, int)
    assert isinstance(tid, int)
    return Who(
        thread=names.thread(pid, tid),
        function=str(function or ""),
        place=short_place(str(file or ""), None),
    )


def _row(entry: Entry, view: BlameView) -> Row:
    waited = view.waited[entry.waiter]
    return Row(
        family="plain",
        label=entry.waiter.thread,
        detail=_function(entry.waiter),
        fields=(
            Field(main=entry.holder.thread, sub=_function(entry.holder), words=True),
            Field(main=format_ns(entry.ns), sub=percent(entry.ns / view.whole)),
            Field(main=percent(entry.ns / waited), sub=f"of {format_ns(waited)}"),
            Field(main=f"{entry.waits:,}", sub=f"mean {format_ns(entry.ns / max(1, entry.waits))}"),
        ),
    )


def _function(who: Who) -> str:
    return " · ".join(part for part in (who.function, who.place) if part)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
