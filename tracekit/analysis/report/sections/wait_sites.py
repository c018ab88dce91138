"""Wait sites: the Python functions in which the threads of a run blocked, on what, how often and how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.ledger.idle import idle_waits, rests_in_pool
from tracekit.analysis.metrics.lifetimes import KEYS, NATIVE
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.names import Names, short_place
from tracekit.analysis.metrics.recorded_intervals import cut_to_run
from tracekit.analysis.report.folding import MOST_FOLDED, fine_percent, fold
from tracekit.analysis.report.render.tabular import encode_csv
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView
from tracekit.analysis.tables import Tables, records
from tracekit.core.units import format_ns, percent, plural

COLUMNS = (
    ("Function", "file and first line"),
    ("Waits for", "threads"),
    ("Total", "of all waiting"),
    ("Waits", "mean"),
    ("Longest", ""),
)
KINDS = {
    "gil": "the GIL",
    "gil-switch": "the next holder of the GIL",
    "lock": "a lock",
    "io-read": "a read",
    "io-write": "a write",
    "poll": "poll",
    "sleep": "sleep",
    "child-wait": "a child process",
}
"""Kind of wait -> its name in the report."""

UNKNOWN = "(no Python function)"
_ENDED = "the thread that released the lock or gave what was waited for; recorded for waits of 1 ms and more"
_MOST, _MOST_IDLE = 12, 6
_WAIT = [*KEYS, "start_ns"]
"""What names a wait of the probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All waits of one kind in one function; file and line are of the function's first line. Times in ns."""

    function: str
    file: str
    line: int | None
    kind: str
    idle: bool
    total: int
    count: int
    longest: int
    threads: int
    waker: str = ""
    """Who ended most of the time waited here, as `thread owner in keeps_it`; empty where that is not known."""
    woken: int = 0
    """The part of `total` that it ended."""

    @property
    def place(self) -> str:
        """`queue.py:154`, with the folder it is in."""
        return short_place(self.file, self.line)


def sites_of(tables: Tables, run_id: str, names: Names | None = None) -> tuple[Site, ...]:
    """The sites of a run, the longest waiting first. The probe's waits; only without any the kernel's, which have no
    functions. With `names` also who ended the waits for locks.
    """
    waits = tables.waits[(tables.waits["run_id"] == run_id) & tables.waits["dur_ns"].notna()]
    waits = cut_to_run(waits, tables.runs[tables.runs["run_id"] == run_id])
    by_probe = waits[waits["method"] == WAITS_PROBE]
    waits = by_probe if len(by_probe) else waits
    if waits.empty:
        return ()
    texts = {name: waits[name].astype("str") for name in ("function", "file", "kind")}
    waits = waits.assign(**texts, idle=_idle(waits, tables.threads), length=waits["dur_ns"].to_numpy(np.int64))
    keys = ["function", "file", "line", "kind", "idle"]
    # A thread id is one of a process: two processes may have had the same.
    waits = waits.assign(thread=waits["pid"].astype("int64") * 2**32 + waits["tid"].astype("int64"))
    found = waits.groupby(keys, dropna=False, sort=False).agg(
        total=("length", "sum"), count=("length", "size"), longest=("length", "max"), threads=("thread", "nunique")
    )
    rows = found.sort_values("total", ascending=False, kind="stable").reset_index()
    wakers = {} if names is None else _find_wakers(waits, tables.wakeups[tables.wakeups["run_id"] == run_id], names)
    return tuple(
        Site(
            function="" if pd.isna(function) else str(function),
            file="" if pd.isna(file) else str(file),
            line=None if pd.isna(line) else int(line),
            kind=str(kind),
            idle=bool(idle),
            total=int(total),
            count=int(count),
            longest=int(longest),
            threads=int(threads),
            **(wakers.get((str(function), str(file)), {}) if kind == "lock" else {}),
        )
        for function, file, line, kind, idle, total, count, longest, threads in rows.itertuples(index=False, name=None)
    )


def _find_wakers(waits: pd.DataFrame, wakeups: pd.DataFrame, names: Names) -> dict[tuple[str, str], dict[str, Any]]:
    """For each function and file that waited for locks: `waker` and `woken` of Site."""
    ended = wakeups[[*_WAIT, "waker_tid", "function"]].rename(columns={"function": "by"})
    ended = ended.merge(waits[[*_WAIT, "length", "function", "file"]], on=_WAIT)
    sums: dict[tuple[str, str, int, int, str], int] = {}
    for row in records(ended[["function", "file", "pid", "waker_tid", "by", "length"]]):
        key = (row["function"], row["file"], row["pid"], row["waker_tid"], row["by"] or "")
        sums[key] = sums.get(key, 0) + row["length"]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (function, file, pid, tid, by), length in sorted(sums.items(), key=lambda item: -item[1]):
        waker = f"{names.thread(pid, tid)}{f' in {by}' if by else ''}"
        found.setdefault((str(function), str(file)), {"waker": waker, "woken": length})
    return found


def sites_table(sites: tuple[Site, ...]) -> TableView | None:
    """The top sites: waits that delay work, and below them idle waits for work; None without any."""
    if not sites:
        return None
    whole = sum(site.total for site in sites)
    blocks = [
        _block("Waits", [site for site in sites if not site.idle], _MOST, whole),
        _block("Idle: waits for work", [site for site in sites if site.idle], _MOST_IDLE, whole),
    ]
    blocks = [block for block in blocks if block.rows]
    if len(blocks) == 1 and not any(site.idle for site in sites):
        blocks = [RowGroup(label="", rows=blocks[0].rows)]
    return TableView(
        title="Wait sites",
        caption="The Python functions in which threads blocked, and on what; the sum over all threads.",
        columns=COLUMNS,
        groups=tuple(blocks),
        legend=(
            LegendItem(
                mark="function",
                text="the innermost Python function at that moment; none before the first and after the last one",
            ),
            *([LegendItem(mark="ended by", text=_ENDED)] if any(site.waker for site in sites) else []),
        ),
    )


def sites_csv(sites: tuple[Site, ...]) -> str:
    """Every site, for other programs; files are as short as in the report, which is passed on."""
    columns = {
        name: [getattr(site, name) for site in sites]
        for name in (
            "function",
            "file",
            "line",
            "kind",
            "idle",
            "total",
            "count",
            "longest",
            "threads",
            "waker",
            "woken",
        )
    }
    columns["file"] = [short_place(site.file, None) for site in sites]
    frame = pd.DataFrame(columns).astype({"line": "Int64"})
    names = {"total": "total_ns", "longest": "longest_ns", "woken": "woken_ns"}
    return encode_csv(frame.rename(columns=names))


def _block(label: str, sites: list[Site], most: int, whole: int) -> RowGroup:
    shown, rest = fold(sites, lambda site: site.total / whole if whole else 0.0, most)
    rows = [_row(site, whole) for site in shown]
    if rest:
        total = sum(site.total for site in rest)
        rows.append(
            TableRow(
                family="plain",
                label=f"{plural(len(rest), 'other site')}",
                detail="in wait-sites.csv",
                folded=tuple(_row(site, whole) for site in rest[:MOST_FOLDED]),
                fields=(
                    TableField(main="–"),
                    TableField(main=format_ns(total), sub=fine_percent(total / whole) if whole else ""),
                    TableField(main=f"{sum(site.count for site in rest):,}"),
                    TableField(main=format_ns(max(site.longest for site in rest))),
                ),
            )
        )
    return RowGroup(label=label, rows=tuple(rows))


def _row(site: Site, whole: int) -> TableRow:
    return TableRow(
        family="plain",
        label=site.function or UNKNOWN,
        detail=site.place,
        fields=(
            TableField(main=KINDS.get(site.kind, site.kind), sub=_threads(site), words=True),
            _total(site.total, whole),
            TableField(main=f"{site.count:,}", sub=f"mean {format_ns(site.total / site.count)}"),
            TableField(main=format_ns(site.longest)),
        ),
    )


def _threads(site: Site) -> str:
    """How many waited, and who ended it."""
    waited = plural(site.threads, "thread")
    return f"{waited}; {percent(site.woken / site.total)} ended by {site.waker}" if site.waker else waited


def _total(total: int, whole: int) -> TableField:
    return TableField(main=format_ns(total), sub=percent(total / whole) if whole else "")


def _idle(waits: pd.DataFrame, threads: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which waits the ledger counts as idle, a boolean per row; a wait for the GIL never is."""
    of_gil = waits["kind"].isin(("gil", "gil-switch")).to_numpy(bool)
    native = threads.loc[(threads["role"] == NATIVE) & (threads["tid"] != threads["pid"]), KEYS]
    in_pool = pd.MultiIndex.from_frame(waits[KEYS]).isin(pd.MultiIndex.from_frame(native))
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = idle_waits(waits) & ~of_gil
    return found | (in_pool & rests_in_pool(waits))
