"""Measures what a capture costs: the same work with and without it, in pairs (paired_runs.py), and the verdict.

The ratio is the interquartile mean of the pairs' ratios, that is, the mean of their middle half; its interval is a
bootstrap over the pairs. A burst of steal in one run is then one outlier, where it would dominate a ratio of sums.

CPU time (user and system) does not include time that the hypervisor gives to other machines, so it is more precise than
the wall. It is measured on all CPUs, the wall on one CPU, the same for both sides: on several, the CPU on which a
stopped thread continues changes the wall of two workers by 3 % from pair to pair. Where the runs of a pair do not
alternate, both come from the same runs.

Up to `BATCHES` times as many pairs are made while the limit is in the interval and the interval is wider than the limit
is away from 1: a cost of half the limit is decided soon, a cost near the limit late.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracekit.accuracy.comparison import COSTS, ComparedRun, Comparison
from tracekit.accuracy.paired_runs import PairedWork, RunCost, make_pairs
from tracekit.analysis.statistics import bootstrap
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import Provision, load_capture
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.system import machine
from tracekit.system.interpreters import Interpreter

BATCHES = 3

MODELS = ("serial", "threads", "fork", "spawn", "forkserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A piece of work, a capture, and the most that the capture may cost: 0.01 is 1 %."""

    work: PairedWork
    capture: str
    most: float
    at_once: bool = True
    """Whether the runs of a pair alternate. Uprobes slow down every process with the same libpython: not for these."""

    @property
    def name(self) -> str:
        return f"{self.work.name}, {self.work.model}"


def make_workload(name: str, model: str) -> PairedWork:
    """Make the work of one of tracekit's workloads."""
    return PairedWork(name=name, target=WORKLOADS.target(name), model=model, one_cpu=model == "serial")


def make_storm(name: str, attribute: str, model: str) -> PairedWork:
    """Make the work of a storm, on one CPU: on two, how the threads happen to meet differs more than anything else."""
    return PairedWork(name=name, target=f"tracekit.accuracy.storm_workloads:{attribute}", model=model, one_cpu=True)


SUBJECTS = (
    *(
        Subject(work=make_workload(workload, model), capture="waits", most=0.01)
        for workload in ("matmul", "spin", "hashing")
        for model in MODELS
    ),
    Subject(work=make_storm("read-storm", "READ", "serial"), capture="waits", most=0.03),
    Subject(work=make_storm("lock-storm", "LOCK", "serial"), capture="waits", most=0.03),
    Subject(work=make_storm("shared-lock-storm", "SHARED_LOCK", "threads"), capture="waits", most=0.03),
    # The worst there is: every few microseconds a wait for a lock and one for the GIL, and nothing else. No program of
    # use does that; its cost has a limit of its own.
    Subject(work=make_storm("handover-storm", "HANDOVER", "threads"), capture="waits", most=0.25),
    *(
        Subject(work=make_workload("matmul", model), capture="kernel", most=0.03, at_once=False)
        for model in ("serial", "threads", "fork")
    ),
)


def measure_cost(
    subject: Subject, interpreter: Interpreter, *, pairs: int, size: str = "default", scratch: Path | None = None
) -> list[Comparison]:
    """Measure one subject: a comparison of CPU time and one of the wall, or one that says why there are none.

    `pairs` is the size of a batch where 1 % is allowed.

    Raises RunFailed and EnvironmentLacks.
    """
    place = ComparedRun(program=subject.name, python=interpreter.label, steal_ns=None)
    try:
        extra = load_capture(subject.capture).preflight(interpreter, Provision())
    except CaptureUnavailable as error:
        return [place.mark_unavailable("effect", str(error), subject.capture)]
    batch = pairs if subject.most <= 0.01 else max(LEAST, pairs // 2)
    one_cpu = replace(subject.work, one_cpu=True) if subject.at_once else subject.work
    rows: dict[str, Comparison] = {}
    for work, checks in _measured_together(subject.work, one_cpu):
        made: list[tuple[RunCost, RunCost]] = []
        before = machine.read_busy()["steal_ns"]
        while len(made) < BATCHES * batch and not all(check in rows and is_decided(rows[check]) for check in checks):
            with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-pairs-") as folder:
                made += make_pairs(
                    work,
                    interpreter,
                    capture=subject.capture,
                    extra_path=extra,
                    pairs=batch,
                    size=size,
                    at_once=subject.at_once,
                    folder=Path(folder),
                )
            after = machine.read_busy()["steal_ns"]
            place = replace(place, steal_ns=None if before is None or after is None else after - before)
            for check in checks:
                row = judge_pairs(place, check, subject, _of(check, made))
                rows[check] = replace(row, reason=f"{row.reason}{' on one CPU' if work.one_cpu else ''}")
    return [rows[check] for check in COSTS]


def _measured_together(cpu_time: PairedWork, wall: PairedWork) -> list[tuple[PairedWork, tuple[str, ...]]]:
    """The work to run, and the checks to make of it."""
    return [(cpu_time, COSTS)] if cpu_time == wall else [(cpu_time, COSTS[:1]), (wall, COSTS[1:])]


def _of(check: str, pairs: Sequence[tuple[RunCost, RunCost]]) -> list[tuple[float, float]]:
    if check == "effect":
        return [(with_.cpu_ns, without.cpu_ns) for with_, without in pairs]
    return [(with_.wall_ns, without.wall_ns) for with_, without in pairs]


def is_decided(row: Comparison) -> bool:
    """Whether more pairs would hardly change the verdict: the limit is outside the interval, or the interval narrow."""
    if row.lower is None or row.upper is None or row.tolerance is None:
        return False
    return not row.lower <= 1 + row.tolerance < row.upper or row.upper - row.lower <= row.tolerance


def judge_pairs(place: ComparedRun, check: str, subject: Subject, pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Judge pairs (with, without).

    fail: the lower end of the interval is above the limit. ok: the ratio is within the limit, and either the upper end
    is, too, or the interval is at most twice as wide as the limit is away from 1. inconclusive: all others.
    """
    ratios = [with_ / without for with_, without in pairs if with_ > 0 and without > 0]
    if len(ratios) < LEAST:
        return place.mark_unavailable(check, f"{len(ratios)} pairs are too few", subject.capture)
    ratio, (lower, upper) = bootstrap.interquartile_mean(ratios), bootstrap.interquartile_interval(ratios)
    limit = 1 + subject.most
    narrow = upper - lower <= 2 * subject.most
    if lower > limit:
        verdict = "fail"
    elif ratio <= limit and (upper <= limit or narrow):
        verdict = "ok"
    else:
        verdict = "inconclusive"
    return place.compare(
        check,
        subject.capture,
        verdict,
        unit="ratio",
        measured=ratio,
        lower=lower,
        upper=upper,
        reference=1.0,
        difference=ratio - 1,
        tolerance=subject.most,
        reason=f"{len(ratios)} pairs",
    )
