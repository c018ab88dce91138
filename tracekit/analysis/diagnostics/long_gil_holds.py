"""A function that keeps the GIL far beyond the switch interval: a call that does not react when others ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, plural

_HOLDER = ["pid", "holder", "function", "file"]
_BEYOND = 2
"""A hold is long from so many switch intervals on: a thread that reacts gives the GIL up after about one."""
_MOSTLY = 0.5
"""Part of what others waited for a function that long holds have to be: on a busy machine any hold may be long."""
_PREEMPTED = 0.3
"""A holder that waited for a CPU for more than this part of its CPU time may have been long for that."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per thread and function."""
    parts = find_long_parts(evidence)
    by_waiter = parts.groupby([*_HOLDER, "waiter"], dropna=False)["ns"].agg(["sum", "size", "max"]).reset_index()
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records(by_waiter.sort_values("sum", ascending=False)):
        seen.setdefault(tuple(row[name] for name in _HOLDER), []).append(row)
    for rows in seen.values():
        yield _describe(evidence, rows)


def _describe(evidence: Evidence, rows: list[dict[str, Any]]) -> Finding:
    """`rows`: what each waiter waited for one function of one thread, the longest first."""
    most, pid = rows[0], int(rows[0]["pid"])
    where = evidence.site(most["function"], most["file"])
    longest, interval = (format_ns(ns) for ns in (max(row["max"] for row in rows), evidence.switch_interval_ns(pid)))
    others = f", and {plural(len(rows) - 1, 'other thread')} less" if len(rows) > 1 else ""
    sentence = (
        f"The GIL was kept for up to {longest} at a time, though Python asks for it after {interval}, by "
        f"{evidence.thread(pid, most['holder'])}{where}: {evidence.thread(pid, most['waiter'])} waited "
        f"{format_ns(most['sum'])} for that in {plural(most['size'], 'hold')}{others}."
    )
    advice = (
        "call what releases the GIL there, give it smaller pieces, or do it in a process "
        "(`concurrent.futures.ProcessPoolExecutor`)"
    )
    return Finding(diagnostic="long-gil-holds", sentence=sentence, advice=advice, weight_ns=most["sum"])


def find_long_parts(evidence: Evidence) -> pd.DataFrame:
    """The rows of `Evidence.gil_parts` that are of long holds, of functions of which most are."""
    parts = evidence.gil_parts
    parts = parts[(parts["holder"] > 0).to_numpy(bool)]
    limits = {pid: _BEYOND * evidence.switch_interval_ns(int(pid)) for pid in parts["pid"].unique()}
    parts = parts.assign(long=(parts["ns"] > parts["pid"].map(limits)).to_numpy(bool))
    whole = parts.groupby(_HOLDER, dropna=False)["ns"].transform("sum")
    parts = parts.assign(long_ns=parts["ns"].where(parts["long"], 0))
    of_long = parts.groupby(_HOLDER, dropna=False)["long_ns"].transform("sum")
    preempted = evidence.preempted(_PREEMPTED)
    places = zip(parts["pid"].tolist(), parts["holder"].tolist(), strict=True)
    clear = np.array([place not in preempted for place in places], dtype=np.bool_)
    return parts[parts["long"].to_numpy(bool) & (of_long > _MOSTLY * whole).to_numpy(bool) & clear]


DIAGNOSTIC = Diagnostic(
    name="long-gil-holds",
    looks_for="Most of what other threads waited for one function of one thread was in holds of the GIL longer than "
    f"{_BEYOND} switch intervals.",
    silent="A thread that often waited for a CPU may have held the GIL meanwhile: of it nothing is said.",
    look=look,
)
