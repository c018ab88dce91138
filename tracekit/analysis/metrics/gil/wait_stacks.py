"""Wait time as collapsed stacks, the input of flame-graph tools: which thread waited where, and for which.

    process;thread;function (file:line);[gil wait held by thread X in function Y] 1234
    process;thread;function (file:line);[lock] 56

One line per stack, the number in microseconds, the longest first. GIL waits are cut by holder as in attribution.py;
other waits are those of the ledger, overlaps counted once, idle ones left out unless requested. In a program whose
functions could not be read any wait but that for the GIL may be an idle one, and says so: `[lock, perhaps idle]`.
Stacks below half a microsecond are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.interval_timeline import Ints
from tracekit.analysis.metrics.ledger.from_waits import split_idle
from tracekit.analysis.metrics.names import process_names, thread_names
from tracekit.analysis.metrics.recorded_intervals import GIL
from tracekit.analysis.tables import records

_SITE = ["pid", "tid", "function", "file", "line"]
_UNSAFE = re.compile(r"[;\s]+")
"""What ends a frame or a line."""


def collapse_waits(analysis: Analysis, run_id: str, *, idle: bool = False) -> list[str]:
    """The lines of one run; with `idle` also the waits that are idle, their last frame `[idle lock]`."""
    names = StackNames(analysis, run_id)
    found = pd.concat(
        [_gil_waits(analysis, run_id, names), _other_waits(analysis, run_id, idle=idle)], ignore_index=True
    )
    stacks = found.groupby([*_SITE, "why"], dropna=False, observed=True)["ns"].sum().reset_index()
    lines: dict[str, int] = {}
    for row in records(stacks):
        stack = ";".join((names.process(row["pid"]), names.thread(row["pid"], row["tid"]), *_function(row), row["why"]))
        lines[stack] = lines.get(stack, 0) + row["ns"]
    ordered = sorted(lines.items(), key=lambda item: (-item[1], item[0]))
    return [f"{stack} {micros}" for stack, ns in ordered if (micros := round(ns / 1000))]


class StackNames:
    """The names of a run's processes and threads, as frames of a stack."""

    def __init__(self, analysis: Analysis, run_id: str) -> None:
        processes = analysis.processes_of(run_id)
        self._processes = process_names(processes)
        self._threads = thread_names(analysis.threads_of(run_id), processes)

    def process(self, pid: int) -> str:
        return _frame(self._processes.get(pid, f"process {pid}"))

    def thread(self, pid: int, tid: int) -> str:
        return _frame(self._threads.get((pid, tid), f"thread {tid}"))


def _gil_waits(analysis: Analysis, run_id: str, names: StackNames) -> pd.DataFrame:
    """GIL waits by site and holder: _SITE, `why`, `ns`."""
    pieces = analysis.attributed_waits(run_id)
    sites = pieces.waits[_SITE].iloc[pieces.wait].reset_index(drop=True)
    frame = sites.assign(holder=pieces.tid, holds=pieces.calls["function"], ns=pieces.length)
    groups = frame.groupby([*_SITE, "holder", "holds"], dropna=False, observed=True)["ns"].sum().reset_index()
    reasons = list(_held_by(records(groups), names))
    return groups[[*_SITE, "ns"]].assign(why=pd.Series(reasons, index=groups.index, dtype="str"))


def _held_by(rows: list[dict[str, Any]], names: StackNames) -> Iterator[str]:
    for row in rows:
        if row["holder"] < 0:
            yield "[gil wait, holder unknown]"
        elif row["holds"]:
            yield f"[gil wait held by {names.thread(row['pid'], row['holder'])} in {_frame(row['holds'])}]"
        else:
            yield f"[gil wait held by {names.thread(row['pid'], row['holder'])}]"


def _other_waits(analysis: Analysis, run_id: str, *, idle: bool) -> pd.DataFrame:
    """All other waits by site: _SITE, `why`, `ns`."""
    found, line = analysis.recorded_waits, analysis.ledger_waits
    wanted = ((found.waits["run_id"] == run_id) & (found.waits["kind"] != GIL)).to_numpy(bool)
    line = line.select(wanted[line.rows])
    resting, busy = split_idle(found, analysis.accountable_time, line)
    unknown = run_id in analysis.without_functions
    kinds: list[tuple[Ints, str]] = [
        (busy, "[{}, perhaps idle]" if unknown else "[{}]"),
        *([(resting, "[idle {}]")] if idle else []),
    ]
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
