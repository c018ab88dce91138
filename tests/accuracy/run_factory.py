"""Runs whose answers are known, made by hand: what a reference program would have told, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.table_factory import MS
from tracekit.accuracy.cases import Case
from tracekit.accuracy.checks.waits import KINDS_OF
from tracekit.accuracy.comparison import ComparedRun
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.known_answers import KnownAnswers, KnownThread
from tracekit.accuracy.watched_run import WatchedRun
from tracekit.analysis import tables
from tracekit.analysis.tables import Tables

PID, TID = 100, 101
T0 = 1_000_000 * MS
BLOCKED_AT_ONCE = (np.array([T0]), np.array([], dtype=np.int64))
WATCHED = KernelReference(gil=True, switches={TID: BLOCKED_AT_ONCE, TID + 1: BLOCKED_AT_ONCE})
PLACE = ComparedRun(program="made", python="3.13.0", steal_ns=0)


def made(
    *,
    known: KnownAnswers | None = None,
    kernel: KernelReference | None = WATCHED,
    manifest: Sequence[Mapping[str, Any]] = (),
    place: ComparedRun = PLACE,
    **rows: Sequence[Mapping[str, Any]],
) -> WatchedRun:
    """A run with those rows; a table that is not given has none, but that of metrics has the sums of the waits."""
    rows = {"metrics": sum_by_metric(rows.get("waits", ())), **rows}
    frames = {
        name: tables.from_rows(name, [{"run_id": "r", "pid": PID, "tid": TID, **row} for row in rows[name]])
        if name in rows
        else tables.empty(name)
        for name in tables.COLUMNS
    }
    return WatchedRun(
        case=Case(name="made", program="made"),
        place=place,
        capture="",
        kernel=kernel,
        known=known or answers(),
        tables=Tables(suite={}, **frames),
        processes=tuple(dict(line) for line in manifest),
    )


def answers(*threads: KnownThread, **more: Any) -> KnownAnswers:
    return KnownAnswers(**{"program": "made", "python": (3, 13, 0), "gil": True, "threads": threads, **more})


def thread(**more: Any) -> KnownThread:
    plain = {
        "pid": PID,
        "tid": TID,
        "name": "one",
        "start_ns": T0,
        "end_ns": T0 + 1000 * MS,
        "cpu_ns": None,
        "waits": {},
        "calls": {},
        "at_least": {},
        "sites": {},
        "holds": [],
        "life": {},
        "idle": {},
        "migrations": None,
    }
    return KnownThread(**{**plain, **more})


def wait(kind: str, at_ms: float, ms: float, method: str = "waits-probe", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "start_ns": T0 + int(at_ms * MS),
        "dur_ns": int(ms * MS),
        "method": method,
        "object": "x",
        **more,
    }


_METRIC_OF_KIND = {"gil": "gil_wait_ns", "gil-switch": "gil_switch_wait_ns"} | {
    kind: metric for metric, kinds in KINDS_OF.items() for kind in kinds
}


def sum_by_metric(waits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of metrics that these waits give their threads."""
    sums: dict[tuple[Any, ...], int] = {}
    for row in waits:
        place = (row.get("pid", PID), row.get("tid", TID), _METRIC_OF_KIND[row["kind"]], row["method"])
        sums[place] = sums.get(place, 0) + row["dur_ns"]
    return [number(metric, value, method, pid=pid, tid=tid) for (pid, tid, metric, method), value in sums.items()]


def number(metric: str, value: float, method: str = "waits-probe", **more: Any) -> dict[str, Any]:
    """A measured row of `metrics` of one thread."""
    return {
        "metric": metric,
        "value": value,
        "method": method,
        "scope": "thread",
        "quality": "measured",
        "n": 1,
        **more,
    }


ALIVE = {"start_ns": T0, "end_ns": T0 + 1000 * MS}
