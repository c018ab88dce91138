"""Checks the stages of worker starts against the kernel's events: the process's creation, its exec and its end.

The kernel does not see what Python does in between; it sees what all stages from exec to the end sum to, and how long
the process lives. tracekit's mean is over the middle half of the starts by length of life, and so is the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.accuracy.comparison import ComparedRun, Comparison, compute_wait_tolerance
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.thread_sums import select_available
from tracekit.analysis.metrics.startup.stages import LIFE, RECORDING, STAGES, metric_name
from tracekit.analysis.tables import Tables, records

CHECK, METRIC = "starts", "spawn_stages"
BEFORE, AFTER = ("exec",), ("join",)
"""The stages outside the new image: they begin with the request and end when the parent has joined the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStarts:
    """A run in which workers were spawned and ended one by one."""

    place: ComparedRun
    tables: Tables
    kernel: KernelReference


def compare_stages(run: KnownStarts) -> list[Comparison]:
    """Comparisons of the warm starts: the stages from exec to the end, and the whole life."""
    kernel = run.kernel
    pids = [row["pid"] for row in records(run.tables.starts) if row["worker"] != 0]
    pids = [pid for pid in pids if pid in kernel.born and pid in kernel.executed and pid in kernel.ended]
    if not pids:
        return [run.place.mark_unavailable(CHECK, "no start was followed by the kernel")]
    lives = np.array([kernel.ended[pid] - kernel.born[pid] for pid in pids], dtype=np.float64)
    images = np.array([kernel.ended[pid] - kernel.executed[pid] for pid in pids], dtype=np.float64)
    cut = len(pids) // 4
    middle = np.argsort(lives, kind="stable")[cut : len(pids) - cut]
    inside = [stage for stage in STAGES if stage not in (*BEFORE, *AFTER)]
    found_image = _sum_stages(run.tables, inside)
    found_life = _sum_stages(run.tables, [LIFE, RECORDING])
    error = float(run.place.steal_ns or 0) + _sum_queue(run.tables) / len(pids)
    rows = []
    for what, found, wanted in (
        ("from exec to the end", found_image, float(images[middle].mean())),
        ("from the request until joined", found_life, float(lives[middle].mean())),
    ):
        if found is None:
            rows.append(run.place.mark_unavailable(CHECK, "the stages were not recorded", what))
            continue
        tolerance = compute_wait_tolerance(wanted)
        rows.append(
            run.place.compare_values(
                CHECK, what, (found, wanted), unit="ns", tolerance=tolerance, error=error, metric=METRIC
            )
        )
    return rows


def _sum_stages(tables: Tables, stages: list[str]) -> float | None:
    """The sum of these stages of the run's warm starts, ns; None without any of them."""
    found = [
        float(rows[0]["value"])
        for stage in stages
        if (rows := select_available(tables, metric_name(stage, cold=False), "run"))
    ]
    return sum(found) if found else None


def _sum_queue(tables: Tables) -> float:
    rows = select_available(tables, "run_queue_wait_ns", "run")
    return float(max((row["value"] for row in rows), default=0.0))
