"""A function that keeps the GIL far beyond the switch interval: a call that does not react when others ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.gil_parts import BEYOND, BEYOND_OF_PREEMPTED, HOLDER, is_preempted, split_parts
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, plural


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per function; per thread where the function is not known."""
    parts = split_parts(evidence).long
    pairs = parts.groupby([*HOLDER, "waiter"], dropna=False)["ns"].agg(["sum", "size", "max"]).reset_index()
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records(pairs.sort_values("sum", ascending=False)):
        holder = (row["function"], row["file"]) if row["function"] else (row["holder"],)
        seen.setdefault((row["pid"], *holder), []).append(row)
    for rows in seen.values():
        yield _describe(evidence, rows)


def _describe(evidence: Evidence, rows: list[dict[str, Any]]) -> Finding:
    """`rows`: what each waiter waited for each holder in one function, the longest first."""
    pid, holder, where = rows[0]["pid"], rows[0]["holder"], evidence.site(rows[0]["function"], rows[0]["file"])
    waited: dict[int, int] = {}
    for row in rows:
        waited[row["waiter"]] = waited.get(row["waiter"], 0) + row["sum"]
    waiter = max(waited, key=lambda tid: waited[tid])
    holds = sum(row["size"] for row in rows if row["waiter"] == waiter)
    longest, interval = (format_ns(ns) for ns in (max(row["max"] for row in rows), evidence.switch_interval_ns(pid)))
    more = len({row["holder"] for row in rows}) - 1
    holders = f" and {plural(more, 'other thread')}" if more else ""
    others = f", and {plural(len(waited) - 1, 'other thread')} less" if len(waited) > 1 else ""
    where += evidence.find_caller(pid, holder, rows[0]["function"], rows[0]["file"])
    sentence = (
        f"The GIL was kept for up to {longest} at a time, though Python asks for it after {interval}, by "
        f"{evidence.thread(pid, holder)}{holders}{where}: {evidence.thread(pid, waiter)} waited "
        f"{format_ns(waited[waiter])} for that in {plural(holds, 'hold')}{others}."
    )
    if is_preempted(evidence, pid, holder):
        lacked_ns = evidence.find_queued_ns(pid, holder) or 0
        sentence += f" Meanwhile it may have lacked a CPU, as it did for {format_ns(lacked_ns)} of its life."
    advice = (
        "call what releases the GIL there, give it smaller pieces, or do it in a process "
        "(`concurrent.futures.ProcessPoolExecutor`)"
    )
    return Finding(diagnostic="long-gil-holds", sentence=sentence, advice=advice, weight_ns=waited[waiter])


DIAGNOSTIC = Diagnostic(
    name="long-gil-holds",
    looks_for="Most of what other threads waited for one function of one thread was in holds of the GIL longer than "
    f"{BEYOND} switch intervals.",
    silent="On a busy machine any hold may be long now and then. Of a thread that lacked a CPU for long only holds "
    f"longer than {BEYOND_OF_PREEMPTED} switch intervals count, and the sentence says for how long it lacked one.",
    look=look,
)
