"""A function that keeps the GIL far beyond the switch interval: a call that does not react when others ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.gil_parts import BEYOND, HOLDER, split_parts
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, plural

_PREEMPTED = 0.3
"""A holder that waited for a CPU for more than this part of its CPU time may have been long for that."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per thread and function."""
    parts = split_parts(evidence).long
    by_waiter = parts.groupby([*HOLDER, "waiter"], dropna=False)["ns"].agg(["sum", "size", "max"]).reset_index()
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records(by_waiter.sort_values("sum", ascending=False)):
        seen.setdefault(tuple(row[name] for name in HOLDER), []).append(row)
    for rows in seen.values():
        yield _describe(evidence, rows)


def _describe(evidence: Evidence, rows: list[dict[str, Any]]) -> Finding:
    """`rows`: what each waiter waited for one function of one thread, the longest first."""
    most, pid = rows[0], int(rows[0]["pid"])
    where = evidence.site(most["function"], most["file"])
    longest, interval = (format_ns(ns) for ns in (max(row["max"] for row in rows), evidence.switch_interval_ns(pid)))
    others = f", and {plural(len(rows) - 1, 'other thread')} less" if len(rows) > 1 else ""
    used_ns, lacked_ns = evidence.on_cpu_ns(pid, most["holder"])[0], evidence.find_queued_ns(pid, most["holder"]) or 0
    lacked = f" Meanwhile it may have lacked a CPU, as it did for {format_ns(lacked_ns)} of its life."
    sentence = (
        f"The GIL was kept for up to {longest} at a time, though Python asks for it after {interval}, by "
        f"{evidence.thread(pid, most['holder'])}{where}: {evidence.thread(pid, most['waiter'])} waited "
        f"{format_ns(most['sum'])} for that in {plural(most['size'], 'hold')}{others}."
        + lacked
        * (lacked_ns > _PREEMPTED * used_ns)
    )
    advice = (
        "call what releases the GIL there, give it smaller pieces, or do it in a process "
        "(`concurrent.futures.ProcessPoolExecutor`)"
    )
    return Finding(diagnostic="long-gil-holds", sentence=sentence, advice=advice, weight_ns=most["sum"])


DIAGNOSTIC = Diagnostic(
    name="long-gil-holds",
    looks_for="Most of what other threads waited for one function of one thread was in holds of the GIL longer than "
    f"{BEYOND} switch intervals.",
    silent="A thread that often lacked a CPU may have held the GIL meanwhile: the sentence says for how long. On a "
    "busy machine any hold may be long now and then.",
    look=look,
)
