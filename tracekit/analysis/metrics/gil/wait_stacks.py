"""Wait time as collapsed stacks, the input of every flame-graph tool: who waited where, and for whom.

    process;thread;function (file:line);[gil wait held by thread X in function Y] 1234
    process;thread;function (file:line);[lock] 56

One line per stack, the number in microseconds, the longest first. GIL waits are cut by holder as in blame.py; other
waits stand in the part of the ledger that they belong to, overlaps counted once, idleness left out unless asked for.
What is less than half a microsecond in all is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.gil.attribution import pieces_of
from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.ledger.from_waits import idle_and_not, in_ledger
from tracekit.analysis.metrics.ledger.tasks import explained
from tracekit.analysis.metrics.names import process_name, processes_of, thread_names, threads_of
from tracekit.analysis.metrics.once import remembering
from tracekit.analysis.metrics.recorded_waits import GIL, seen_waits
from tracekit.analysis.tables import Tables, records

_SITE = ["pid", "tid", "function", "file", "line"]
_UNSAFE = re.compile(r"[;\s]+")
"""What ends a frame or a line."""


def collapsed(tables: Tables, run_id: str, *, idle: bool = False) -> list[str]:
    """The lines of one run; with `idle` also the waits that are idle, their last frame `[idle lock]`."""
    with remembering():
        found = pd.concat([_gil(tables, run_id), _others(tables, run_id, idle=idle)], ignore_index=True)
        stacks = found.groupby([*_SITE, "why"], dropna=False, observed=True)["ns"].sum().reset_index()
        names = _Names(tables, run_id)
    lines: dict[str, int] = {}
    for row in records(stacks):
        stack = ";".join((names.process(row["pid"]), names.thread(row["pid"], row["tid"]), *_function(row), row["why"]))
        lines[stack] = lines.get(stack, 0) + row["ns"]
    ordered = sorted(lines.items(), key=lambda item: (-item[1], item[0]))
    return [f"{stack} {micros}" for stack, ns in ordered if (micros := round(ns / 1000))]


class _Names:
    """What the processes and threads of a run are called."""

    def __init__(self, tables: Tables, run_id: str) -> None:
        processes = processes_of(tables, run_id)
        self._processes = {pid: process_name(row) for pid, row in processes.items()}
        self._threads = thread_names(threads_of(tables, run_id), processes)

    def process(self, pid: int) -> str:
        return _frame(self._processes.get(pid, f"process {pid}"))

    def thread(self, pid: int, tid: int) -> str:
        return _frame(self._threads.get((pid, tid), f"thread {tid}"))


def _gil(tables: Tables, run_id: str) -> pd.DataFrame:
    """GIL waits by site and holder: _SITE, `why`, `ns`."""
    pieces = pieces_of(tables, run_id)
    names = _Names(tables, run_id)
    sites = pieces.waits[_SITE].iloc[pieces.wait].reset_index(drop=True)
    frame = sites.assign(holder=pieces.tid, holds=pieces.calls["function"], ns=pieces.length)
    groups = frame.groupby([*_SITE, "holder", "holds"], dropna=False, observed=True)["ns"].sum().reset_index()
    reasons = list(_held_by(records(groups), names))
    return groups[[*_SITE, "ns"]].assign(why=pd.Series(reasons, index=groups.index, dtype="str"))


def _held_by(rows: list[dict[str, Any]], names: _Names) -> Iterator[str]:
    for row in rows:
        if row["holder"] < 0:
            yield "[gil wait, holder unknown]"
        elif row["holds"]:
            yield f"[gil wait held by {names.thread(row['pid'], row['holder'])} in {_frame(row['holds'])}]"
        else:
            yield f"[gil wait held by {names.thread(row['pid'], row['holder'])}]"


def _others(tables: Tables, run_id: str, *, idle: bool) -> pd.DataFrame:
    """All other waits by site: _SITE, `why`, `ns`."""
    found, line = seen_waits(tables), in_ledger(tables)
    wanted = ((found.waits["run_id"] == run_id) & (found.waits["kind"] != GIL)).to_numpy(bool)
    line = line.chosen(wanted[line.rows])
    resting, busy = idle_and_not(found, explained(tables, found), line)
    kinds: list[tuple[Ints, str]] = [(busy, "[{}]"), *([(resting, "[idle {}]")] if idle else [])]
    parts = []
    for lengths, form in kinds:
        sites = found.waits[[*_SITE, "kind"]].iloc[line.rows].reset_index(drop=True).assign(ns=lengths)
        sites = sites[sites["ns"] > 0]
        groups = sites.groupby([*_SITE, "kind"], dropna=False, observed=True)["ns"].sum().reset_index()
        why = pd.Series([form.format(kind) for kind in groups["kind"]], index=groups.index, dtype="str")
        parts.append(groups[[*_SITE, "ns"]].assign(why=why))
    return pd.concat(parts, ignore_index=True)


def _function(row: Mapping[str, Any]) -> list[str]:
    if not row["function"]:
        return []
    file = PurePosixPath((row["file"] or "").replace("\\", "/")).name
    where = f" ({file}:{row['line']})" if file and row["line"] is not None else f" ({file})" if file else ""
    return [_frame(row["function"] + where)]


def _frame(text: str) -> str:
    return _UNSAFE.sub(" ", text).strip() or "?"
