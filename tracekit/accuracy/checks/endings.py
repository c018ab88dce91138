"""Checks that table and manifest have every child process, and how it ended."""

from __future__ import annotations

from tracekit.accuracy.comparison import Comparison
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.tables import records


def compare_children(seen: WatchedRun) -> list[Comparison]:
    """One comparison per way of ending: how many of the children are recorded so."""
    if not seen.known.children:
        return []
    table = {row["pid"]: (row["ended"], row["exit_code"]) for row in records(seen.tables.processes)}
    manifest = {line.get("pid"): (line.get("ended"), line.get("exit_code")) for line in seen.processes}
    groups: dict[tuple[str, int], list[int]] = {}
    for child in seen.known.children:
        groups.setdefault((child.ended, child.exit_code), []).append(child.pid)
    rows = []
    for ending, pids in groups.items():
        wrong = [
            f"{pid} is {_words(known.get(pid))} in the {where}"
            for where, known in (("table", table), ("manifest", manifest))
            for pid in pids
            if known.get(pid) != ending
        ]
        right = sum(table.get(pid) == ending and manifest.get(pid) == ending for pid in pids)
        rows.append(
            seen.place.compare(
                "processes",
                _words(ending),
                "fail" if wrong else "ok",
                unit="count",
                measured=float(right),
                reference=float(len(pids)),
                difference=float(right - len(pids)),
                tolerance=0.0,
                reason="; ".join(wrong[:3]),
            )
        )
    return rows


def _words(ending: tuple[str | None, int | None] | None) -> str:
    if ending is None:
        return "missing"
    how, code = ending
    return f"{how} {code}"
