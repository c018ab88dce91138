"""Checks wait sites: whether waits and holds are attributed to functions in which the thread can have been.

A place is "file.py:qualname". Code objects of Python 3.9 and 3.10 know no qualified name, so there the last part of it
is compared. Every program gives all places where its threads can wait between their two stamps, so one other name is
one too many. What has no name at all is counted apart.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import PurePath
from typing import Any

from tracekit.accuracy.comparison import Comparison
from tracekit.accuracy.known_answers import ActiveFunction, KnownAnswers, KnownThread
from tracekit.accuracy.thread_sums import select_window
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.tables import records

MOST_UNNAMED = 0.02
"""The share of the waited time that may have no function: waits in C code before or after any Python frame."""

OWN = "known.py:"
"""The programs' own stopwatch."""

GENERATED = ("executed_", "generated_", "reloaded_")


def compare_sites(seen: WatchedRun) -> list[Comparison]:
    """One comparison per thread and kind of wait with known places, and per thread with known places of GIL drops."""
    rows = []
    for thread in seen.known.threads:
        window = (thread.start_ns, thread.end_ns)
        for kind, places in thread.sites.items():
            frame = select_window(seen.tables.waits, thread.pid, thread.tid, window, "start_ns")
            frame = frame[(frame["kind"] == kind) & (frame["method"] == WAITS_PROBE)]
            rows += _judged(seen, f"{thread.name}, {kind}", thread, records(frame), places, weight="dur_ns")
        if thread.holds:
            frame = select_window(seen.tables.holds, thread.pid, thread.tid, window, "end_ns")
            frame = frame[frame["method"] == WAITS_PROBE]
            rows += _judged(seen, f"{thread.name}, holding the GIL", thread, records(frame), thread.holds, weight="")
    return rows


def compare_changing_code(seen: WatchedRun) -> list[Comparison]:
    """Compare waits and holds that are attributed to generated functions with the functions that ran at that time."""
    if not seen.known.active:
        return []
    runs = _Runs(seen.known)
    right, wrong = 0, []
    for frame, stamp in ((seen.tables.waits, "start_ns"), (seen.tables.holds, "end_ns")):
        for row in records(frame[frame["method"] == WAITS_PROBE]):
            name, when = row["function"], row[stamp]
            if when is None:
                continue
            active = runs.at(row["tid"], when)
            if name is not None and name.startswith(GENERATED):
                if active is not None and active.name == name and _file_fits(name, row["file"]):
                    right += 1
                else:
                    ran = active.name if active is not None else "none"
                    wrong.append(f"{name} in {row['file']} while {ran} ran")
    expected = len(seen.known.active)
    reason = f"{right} of {right + len(wrong)} correctly named, {expected} functions ran"
    if wrong:
        reason += f"; first: {wrong[0]}"
    # Without a GIL the functions only wait for a lock now and then.
    enough = right >= expected / 2 or not seen.known.gil
    return [
        seen.place.compare(
            "names-move",
            "generated functions",
            "ok" if enough and not wrong else "fail",
            unit="count",
            measured=float(len(wrong)),
            reference=0.0,
            difference=float(len(wrong)),
            tolerance=0.0,
            reason=reason,
        )
    ]


def _judged(
    seen: WatchedRun, what: str, thread: KnownThread, found: list[dict[str, Any]], places: list[str], *, weight: str
) -> list[Comparison]:
    """The comparison of one thread and kind; none without such rows. `weight` is a column; empty: each row counts 1."""
    weights = [float(row[weight]) if weight else 1.0 for row in found]
    total = sum(weights)
    if not total:
        return []
    short = seen.known.python < (3, 11)
    wanted = {_shown(place, short=short) for place in places}
    wrong: dict[str, float] = {}
    unnamed = 0.0
    for row, amount in zip(found, weights, strict=True):
        if row["function"] is None:
            unnamed += amount
            continue
        name = _shown(f"{PurePath(row['file'] or '').name}:{row['function']}", short=short)
        if name not in wanted and not name.startswith(OWN):
            wrong[name] = wrong.get(name, 0.0) + amount
    if unnamed == total:
        return [seen.place.mark_unavailable("sites", "functions are not read in this Python", what)]
    right = 1 - (sum(wrong.values()) + unnamed) / total
    good = not wrong and unnamed / total <= MOST_UNNAMED
    reason = "; ".join(f"{name} {amount / total:.1%}" for name, amount in sorted(wrong.items()))
    if unnamed / total > MOST_UNNAMED:
        reason = "; ".join(filter(None, [reason, f"no name {unnamed / total:.1%}"]))
    return [
        seen.place.compare(
            "sites",
            what,
            "ok" if good else "fail",
            unit="share",
            measured=right,
            reference=1.0,
            difference=right - 1,
            tolerance=MOST_UNNAMED,
            reason=reason,
        )
    ]


def _shown(place: str, *, short: bool) -> str:
    file, _, name = place.partition(":")
    return f"{file}:{name.rsplit('.', 1)[-1]}" if short else place


def _file_fits(name: str, file: str | None) -> bool:
    """Whether the file fits: each function of exec has its own file, the others share one."""
    kind, _, number = name.partition("_")
    return kind != "executed" or file == f"<executed {number}>"


class _Runs:
    """Finds the generated function that ran in a thread at a given time."""

    def __init__(self, known: KnownAnswers) -> None:
        self._by_tid: dict[int, list[ActiveFunction]] = {}
        for active in sorted(known.active, key=lambda active: active.start_ns):
            self._by_tid.setdefault(active.tid, []).append(active)
        self._starts = {tid: [each.start_ns for each in runs] for tid, runs in self._by_tid.items()}

    def at(self, tid: int, ns: int) -> ActiveFunction | None:
        index = bisect_right(self._starts.get(tid, []), ns) - 1
        if index < 0:
            return None
        active = self._by_tid[tid][index]
        return active if ns <= active.end_ns else None
