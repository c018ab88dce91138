"""The methods that give the same number, ranked, and how far their numbers differ.

The metrics table has one row per scope, place, metric and method. Where a run was watched in several ways the best
row stands first:

    kernel-uprobe   the kernel's own events at the interpreter's take_gil and drop_gil
    kernel-sched    the kernel's scheduling events
    waits-probe     the preloaded wait probe
    py-spy-native   samples of native stacks
    accounting      what the system counts per thread or process: schedstat and other counters, and what follows from
                    them (`schedstat`, `single-thread`, `linux`, ...)
    portable        the same without the kernel's run-queue count

A method's text may say more after its name (`waits-probe, 5 ms wake-ups`); `family` finds the name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from tracekit.analysis.metrics.estimate import Estimate
from tracekit.analysis.tables import CELL, QUALITIES
from tracekit.analysis.tables import KERNEL_UPROBE as KERNEL_UPROBE
from tracekit.analysis.tables import WAITS_PROBE as WAITS_PROBE

KERNEL_SCHED = "kernel-sched"
PYSPY_NATIVE = "py-spy-native"
ACCOUNTING = "accounting"
PORTABLE = "portable"
RANKS = (KERNEL_UPROBE, KERNEL_SCHED, WAITS_PROBE, PYSPY_NATIVE, ACCOUNTING, PORTABLE)

UNAVAILABLE = len(RANKS)

_PLACE = ("suite_id", "run_id", "scope", "pid", "tid", "metric")


class MethodDifference(NamedTuple):
    """Two methods for one number: rows of the metrics table, the better one first.

    `apart` is by how much they differ, in the metric's unit: the distance of two values, or of a value from an interval
    that should contain it.
    """

    best: Mapping[str, Any]
    other: Mapping[str, Any]
    apart: float


@cache
def find_family(method: str) -> str:
    """The name in RANKS of a method as a row has it."""
    found = [name for name in RANKS if any(part.startswith(name) for part in method.split(" + "))]
    return found[0] if found else ACCOUNTING


def rank(method: str) -> int:
    """The place of a method in RANKS, 0 the best; an empty method (nothing known) comes last."""
    return RANKS.index(find_family(method)) if method else UNAVAILABLE


def order_by_trust(method: str, quality: str, *, available: bool) -> tuple[bool, int, int]:
    """Sorts numbers of one name and place: the better method first, what is not known last."""
    return (not available, rank(method), QUALITIES.index(quality))


def mark_preferred(metrics: pd.DataFrame) -> pd.DataFrame:
    """The metrics table with `preferred`: of the rows of one metric and place the one that reports show."""
    known = metrics["value"].notna() & (metrics["quality"] != "unavailable")
    rows = zip(metrics["method"].fillna(""), metrics["quality"], known, strict=True)
    order = [order_by_trust(method, quality, available=available) for method, quality, available in rows]
    trust = pd.Series(order, index=metrics.index, dtype=object)
    best_first = metrics.loc[trust.sort_values(kind="stable").index, [*_PLACE, *CELL]]
    first = ~best_first.duplicated()
    return metrics.assign(preferred=first.reindex(metrics.index).astype("boolean"))


def sort_by_rank(estimates: Iterable[Estimate]) -> list[Estimate]:
    """The available estimates, the best method first; without any, the first unavailable one, for its reason."""
    given = list(estimates)
    known = sorted((item for item in given if item.available), key=lambda item: rank(item.method))
    return known or given[:1]


def compare_methods(rows: Iterable[Mapping[str, Any]]) -> Iterator[MethodDifference]:
    """For every number that several methods gave: the best one beside each of the others."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["quality"] != "unavailable":
            place = tuple(row[name] for name in (*_PLACE, *CELL))
            groups.setdefault(place, []).append(row)
    for group in groups.values():
        ordered = sorted(group, key=lambda row: rank(row["method"] or ""))
        for other in ordered[1:]:
            yield MethodDifference(ordered[0], other, measure_distance(ordered[0], other))


def measure_distance(best: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """By how much two numbers differ. A bound differs only from what lies outside it."""
    if other["quality"] != "bound":
        return abs(float(best["value"]) - float(other["value"]))
    low, high = _end(best, "lower"), _end(best, "upper")
    return max(0.0, float(other["lower"]) - high, low - float(other["upper"]))


def _end(row: Mapping[str, Any], name: str) -> float:
    value = row[name]
    # A measured number without an interval is its own.
    if row["quality"] != "bound" or value is None or math.isnan(value):
        return float(row["value"])
    return float(value)
