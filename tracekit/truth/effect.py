"""What a capture costs: the same work with it and without it, in pairs.

The two runs of a pair follow one another and the order turns round from pair to pair (A B, B A), so that a machine that
gets slower or busier does so to both. The ratio is the median of the pairs' ratios, its interval a bootstrap over the
pairs: a burst of steal that hits one run of one pair is one outlier, where a ratio of sums would be that burst.

CPU time (user and system) does not count what the hypervisor gives to others, so it decides more closely than the wall.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracekit import environment
from tracekit.bundle import SuiteFolder
from tracekit.capture import Provision, named
from tracekit.errors import CaptureUnavailable, MeasurementError
from tracekit.interpreters import Interpreter
from tracekit.load import load_suite
from tracekit.metrics import bootstrap, cpu
from tracekit.metrics.cells import records
from tracekit.models import START_METHODS
from tracekit.plan import WORKLOADS
from tracekit.run import Outcome, run_suite
from tracekit.spec import RunSpec, Suite
from tracekit.truth.cases import Case
from tracekit.truth.rows import Place, Row
from tracekit.truth.watching import run

MODELS = ("serial", "threads", "fork", "spawn", "forkserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One piece of work, the capture that is judged by it, and the most that it may cost: 0.01 is 1 %."""

    name: str
    capture: str
    most: float
    workload: str = ""
    model: str = ""
    storm: Case | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took."""

    wall_ns: float
    cpu_ns: float


STORMS = (
    (Case(name="read-storm", program="read_storm"), 0.03),
    # Taken free: how often two threads that hammer one lock meet is chance, and differs by half from run to run.
    (Case(name="lock-storm", program="lock_storm", options=("--free=1000000", "--hammered=0")), 0.03),
    # The worst there is: some 5 us of work, then a wait for a lock and one for the GIL, and nothing else.
    (Case(name="handover-storm", program="lock_storm", options=("--free=0", "--hammered=0", "--turns=8000")), 0.25),
)
"""Programs that do nothing but what the probe looks at, and what that may cost."""

SUBJECTS = (
    *(
        Subject(name=f"{workload}, {model}", capture="waits", most=0.01, workload=workload, model=model)
        for workload in ("matmul", "spin", "hashing")
        for model in MODELS
    ),
    *(Subject(name=storm.name, capture="waits", most=most, storm=storm) for storm, most in STORMS),
    *(
        Subject(name=f"matmul, {model}", capture="kernel", most=0.03, workload="matmul", model=model)
        for model in ("serial", "threads", "fork")
    ),
)


def measure(
    subject: Subject, interpreter: Interpreter, *, pairs: int, size: str = "default", scratch: Path | None = None
) -> list[Row]:
    """Two rows, CPU time and wall; or one that says why there are none. Raises RunFailed and EnvironmentLacks."""
    before = environment.busy()["steal_ns"]
    place = Place(program=subject.name, python=interpreter.label, steal_ns=None)
    try:
        extra = named(subject.capture).preflight(interpreter, Provision()).extra_path
    except CaptureUnavailable as error:
        return [place.unavailable("effect", str(error), subject.capture)]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        if subject.storm is not None:
            found = _storm_pairs(subject, subject.storm, interpreter, pairs, Path(folder))
        else:
            found = _work_pairs(subject, interpreter, pairs, size, extra, Path(folder))
    after = environment.busy()["steal_ns"]
    place = replace(place, steal_ns=None if before is None or after is None else after - before)
    return [
        judged(place, "effect", subject, [(with_.cpu_ns, without.cpu_ns) for with_, without in found]),
        judged(place, "effect-wall", subject, [(with_.wall_ns, without.wall_ns) for with_, without in found]),
    ]


def judged(place: Place, check: str, subject: Subject, pairs: Sequence[tuple[float, float]]) -> Row:
    """The row of pairs (with, without).

    off: even the lower end of the interval is above the limit. ok: the ratio is within the limit, and so is the upper
    end or the interval is at most twice as wide as the limit is far from 1. unclear: everything between.
    """
    ratios = [with_ / without for with_, without in pairs if without > 0]
    if len(ratios) < bootstrap.LEAST:
        return place.unavailable(check, f"{len(ratios)} pairs are too few", subject.capture)
    ratio, (lower, upper) = statistics.median(ratios), bootstrap.median_interval(ratios)
    limit = 1 + subject.most
    narrow = upper - lower <= 2 * subject.most
    if lower > limit:
        verdict = "off"
    elif ratio <= limit and (upper <= limit or narrow):
        verdict = "ok"
    else:
        verdict = "unclear"
    return place.row(
        check,
        subject.capture,
        verdict,
        unit="ratio",
        measured=ratio,
        lower=lower,
        upper=upper,
        truth=1.0,
        difference=ratio - 1,
        tolerance=subject.most,
        reason=f"{len(ratios)} pairs",
    )


def order(pairs: int) -> Iterator[tuple[bool, bool]]:
    """For each pair whether its two runs are watched: A B, B A, A B, ..."""
    for number in range(pairs):
        yield (False, True) if number % 2 == 0 else (True, False)


def _paired(pairs: int, cost: Callable[[bool], Cost]) -> list[tuple[Cost, Cost]]:
    found = []
    for turn in order(pairs):
        costs = {watched: cost(watched) for watched in turn}
        found.append((costs[True], costs[False]))
    return found


def _storm_pairs(
    subject: Subject, storm: Case, interpreter: Interpreter, pairs: int, folder: Path
) -> list[tuple[Cost, Cost]]:
    """What the program's own threads took between their stamps: without the start of Python and of the probe."""

    def cost(watched: bool) -> Cost:
        _, known = run(storm, interpreter, subject.capture if watched else "none", folder)
        return Cost(
            wall_ns=float(
                max(thread.end_ns for thread in known.threads) - min(thread.start_ns for thread in known.threads)
            ),
            cpu_ns=float(sum(thread.cpu_ns or 0 for thread in known.threads)),
        )

    return _paired(pairs, cost)


def _work_pairs(
    subject: Subject, interpreter: Interpreter, pairs: int, size: str, extra: str, folder: Path
) -> list[tuple[Cost, Cost]]:
    """A suite of the pairs, in their order, made like any other suite; a warm-up round first."""
    turns = [(0, False), *((number, watched) for number, turn in enumerate(order(pairs), 1) for watched in turn)]
    specs = tuple(
        RunSpec(
            suite_id="effect",
            run_id=f"{position:03d}",
            workload=subject.workload,
            workload_target=WORKLOADS.target(subject.workload),
            size=size,
            model=subject.model,
            workers=1 if subject.model == "serial" else 2,
            start_method=START_METHODS.get(subject.model, ""),
            capture=subject.capture if watched else "none",
            repeat=number,
            warmup=number == 0,
            python=interpreter.executable,
            python_label=interpreter.label,
            extra_path=extra if watched else "",
        )
        for position, (number, watched) in enumerate(turns)
    )
    suite = SuiteFolder(folder / "effect")
    done = run_suite(Suite(suite_id="effect", workload=subject.workload, size=size, specs=specs), suite)
    _check(done.outcomes)
    tables = load_suite(suite)
    times = cpu.compute(tables)
    cpus = {row["run_id"]: row["value"] for row in records(times[times["scope"] == "run"])}
    by_turn = {
        (outcome.spec.repeat, outcome.spec.capture != "none"): Cost(
            wall_ns=float(outcome.wall_ns or 0), cpu_ns=float(cpus.get(outcome.spec.run_id) or 0)
        )
        for outcome in done.outcomes
    }
    return [(by_turn[number, True], by_turn[number, False]) for number in range(1, pairs + 1)]


def _check(outcomes: Sequence[Outcome]) -> None:
    failed = next((outcome for outcome in outcomes if outcome.status != "ok"), None)
    if failed is not None:
        raise MeasurementError(
            f"{failed.spec.workload} under {failed.spec.capture} {failed.reason}",
            f"tracekit run {failed.spec.workload} --models {failed.spec.model} --capture {failed.spec.capture}",
        )
