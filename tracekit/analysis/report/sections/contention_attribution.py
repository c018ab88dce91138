"""Contention attribution: which thread held the GIL, in which function, while which other thread waited for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.names import Names, short_place
from tracekit.analysis.report.folding import MOST_FOLDED, fine_percent, fold
from tracekit.analysis.report.render.tabular import encode_csv
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, percent, plural

COLUMNS = (
    ("Waiter", "function"),
    ("Holder of the GIL", "function"),
    ("GIL wait", "of the whole run's"),
    ("Of this waiter's", ""),
    ("Waits", "mean"),
)
NOBODY = "nobody"
_MOST = 10
_MOST_NAMED = 5_000
"""Pairs that have names; a program with more of them has the others only in attribution.csv."""
_MOST_SENTENCES = 3
_NOTABLE = 0.1
"""Part of the run's GIL wait from which on a pair has a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadInFunction:
    """A thread in a function, which is empty where it is not known. `thread` is `nobody` while none held the GIL."""

    thread: str
    function: str
    place: str = ""

    @property
    def label(self) -> str:
        """Two short lines for a figure."""
        return f"{self.thread}\n{self.function}" if self.function else self.thread

    @property
    def phrase(self) -> str:
        """`worker 2 in `small``, for a sentence."""
        return f"{self.thread} in `{self.function}`" if self.function else self.thread


OTHERS = ThreadInFunction(thread="others", function="")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedWait:
    """`waiter` waited `ns` while `holder` held the GIL, in `waits` waits."""

    waiter: ThreadInFunction
    holder: ThreadInFunction
    ns: int
    waits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionView:
    """The attributed GIL waits of one run, the longest first. `whole` is its GIL wait in ns, `waited` that of each
    waiter."""

    entries: tuple[AttributedWait, ...]
    whole: int
    waited: Mapping[ThreadInFunction, int]
    method: str
    frame: pd.DataFrame


def read_attribution(analysis: Analysis, run_id: str, names: Names) -> AttributionView | None:
    """The attribution of a run; None where no capture recorded a GIL wait in it."""
    frame = analysis.contention_attribution(run_id)
    if frame.empty or not int(frame["wait_ns"].sum()):
        return None
    entries = [
        AttributedWait(
            waiter=_who(names, row, "waiter"),
            holder=_who(names, row, "holder"),
            ns=int(row["wait_ns"]),
            waits=int(row["waits"]),
        )
        for row in records(frame.iloc[:_MOST_NAMED])
    ]
    rest = frame.iloc[_MOST_NAMED:]
    if len(rest):
        ns, waits = int(rest["wait_ns"].sum()), int(rest["waits"].sum())
        entries.append(AttributedWait(waiter=OTHERS, holder=OTHERS, ns=ns, waits=waits))
    together = _together(entries)
    waited: dict[ThreadInFunction, int] = {}
    for entry in together:
        waited[entry.waiter] = waited.get(entry.waiter, 0) + entry.ns
    return AttributionView(
        entries=together,
        whole=sum(waited.values()),
        waited=waited,
        method=str(frame["method"].iloc[0]),
        frame=frame,
    )


def attribution_sentences(view: AttributionView, least_ns: float = 0) -> tuple[str, ...]:
    """A sentence for each of the largest pairs of waiter and holder; none where no pair stands out, or all of them are
    shorter than `least_ns`."""
    known = [
        entry
        for entry in view.entries
        if entry.holder.thread != NOBODY and entry.waiter != OTHERS and entry.ns >= max(_NOTABLE * view.whole, least_ns)
    ]
    return tuple(_sentence(entry, view.waited[entry.waiter]) for entry in known[:_MOST_SENTENCES])


def attribution_table(view: AttributionView) -> TableView:
    """The largest pairs of waiter and holder."""
    shown, rest = fold(view.entries, lambda entry: entry.ns / view.whole, _MOST)
    rows = [_row(entry, view) for entry in shown]
    if rest:
        ns = sum(entry.ns for entry in rest)
        rows.append(
            TableRow(
                family="plain",
                label=plural(len(rest), "other pair"),
                detail="in attribution.csv",
                folded=tuple(_row(entry, view) for entry in rest[:MOST_FOLDED]),
                fields=(
                    TableField(main="–"),
                    TableField(main=format_ns(ns), sub=fine_percent(ns / view.whole)),
                    TableField(main="–"),
                    TableField(main=f"{sum(entry.waits for entry in rest):,}"),
                ),
            )
        )
    return TableView(
        title="GIL waits by holder",
        caption=f"The GIL wait of all threads, {format_ns(view.whole)}, by the thread that held the GIL meanwhile.",
        columns=COLUMNS,
        closed=True,
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(
            LegendItem(
                mark=NOBODY,
                text="the time between a drop and the next take of the GIL, and the time that no record covers",
            ),
            LegendItem(mark="function", text="of a holder, the one in which it gave up the GIL"),
        ),
    )


def attribution_csv(view: AttributionView) -> str:
    """Every pair as it was computed, for other programs; files are as short as in the report, which is passed on."""
    short = {name: view.frame[name].map(_short, na_action="ignore") for name in ("waiter_file", "holder_file")}
    return encode_csv(view.frame.assign(**short))


def _short(file: str) -> str:
    return short_place(file, None)


def _sentence(entry: AttributedWait, waited: int) -> str:
    return (
        f"{_capital(entry.holder.phrase)} held the GIL for {percent(entry.ns / waited)} of the time that "
        f"{entry.waiter.phrase} waited for it ({format_ns(entry.ns)} of {format_ns(waited)})."
    )


def _together(entries: Iterable[AttributedWait]) -> tuple[AttributedWait, ...]:
    """Waits with the same texts as one, the longest first."""
    sums: dict[tuple[ThreadInFunction, ThreadInFunction], tuple[int, int]] = {}
    for entry in entries:
        ns, waits = sums.get((entry.waiter, entry.holder), (0, 0))
        sums[entry.waiter, entry.holder] = (ns + entry.ns, waits + entry.waits)
    found = [AttributedWait(waiter=key[0], holder=key[1], ns=ns, waits=waits) for key, (ns, waits) in sums.items()]
    return tuple(sorted(found, key=lambda entry: -entry.ns))


def _who(names: Names, row: dict[str, object], role: str) -> ThreadInFunction:
    tid, function, file = (row[f"{role}_{name}"] for name in ("tid", "function", "file"))
    if tid is None:
        return ThreadInFunction(thread=NOBODY, function="")
    pid = row["pid"]
    assert isinstance(pid, int)
    assert isinstance(tid, int)
    return ThreadInFunction(
        thread=names.thread(pid, tid),
        function=str(function or ""),
        place=short_place(str(file or ""), None),
    )


def _row(entry: AttributedWait, view: AttributionView) -> TableRow:
    waited = view.waited[entry.waiter]
    return TableRow(
        family="plain",
        label=entry.waiter.thread,
        detail=_function(entry.waiter),
        fields=(
            TableField(main=entry.holder.thread, sub=_function(entry.holder), words=True),
            TableField(main=format_ns(entry.ns), sub=percent(entry.ns / view.whole)),
            TableField(main=percent(entry.ns / waited), sub=f"of {format_ns(waited)}"),
            TableField(main=f"{entry.waits:,}", sub=f"mean {format_ns(entry.ns / max(1, entry.waits))}"),
        ),
    )


def _function(who: ThreadInFunction) -> str:
    return " · ".join(part for part in (who.function, who.place) if part)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
