"""Runs all comparisons: every reference program on every Python under every capture, and what capturing costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tracekit.accuracy import capture_cost, task_accounting, workload_runs
from tracekit.accuracy.cases import Case, choose_cases
from tracekit.accuracy.checks import (
    endings,
    gil,
    handoffs,
    ledger,
    lifetimes,
    scheduling,
    sites,
    switches,
    waits,
    wakeups,
)
from tracekit.accuracy.comparison import CHECKS, COSTS, ComparedRun, Comparison
from tracekit.accuracy.saved_progress import SavedProgress
from tracekit.accuracy.watched_run import WatchedRun, watch_case
from tracekit.core.errors import CaptureUnavailable, TracekitError, UsageError
from tracekit.measure.capture import Provision, load_capture
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter

KERNEL, WAITS, PY_SPY = "kernel", "waits", "py-spy"

ATTEMPTS = 3
"""How often a run is repeated while its difference may come from a busy machine: such a run decides nothing."""

Compare: TypeAlias = Callable[[WatchedRun], list[Comparison]]
Measure: TypeAlias = Callable[[Interpreter, "Path | None"], list[Comparison]]
Step: TypeAlias = tuple[str, Callable[[], list[Comparison]]]
"""The name of a step, which the user sees and saved progress knows it by, and the function that runs it."""

_OF_WATCHED: dict[str, Compare] = {
    "gil-kernel": gil.compare_with_kernel,
    "gil-switch": handoffs.compare_switch_waits,
    "gil-holds": gil.compare_holds,
    "gil-handoffs": handoffs.compare_handoffs,
    "gil-schedstat": gil.compare_accounting,
    "gil-known": gil.compare_with_known,
    "waits-known": waits.compare_with_known,
    "switches": switches.compare_with_kernel,
    "scheduling": scheduling.compare_with_known,
    "lifetimes": lifetimes.compare_with_kernel,
    "ledger-known": ledger.compare_known,
    "unattributed": ledger.compare_unattributed,
    "sites": sites.compare_sites,
    "wakeups": wakeups.compare_wakers,
    "names-move": sites.compare_changing_code,
    "processes": endings.compare_children,
}

_OF_SUITES: dict[str, tuple[str, Measure]] = {
    "tasks": (workload_runs.TASKS, workload_runs.measure_tasks),
    "starts": (workload_runs.STARTS, workload_runs.measure_starts),
}
_OF_LEDGER = ("scheduling", "ledger-known", "unattributed")
"""The checks of the ledger, which is another one without the kernel capture."""

_NOT_IN_SELF_TEST = ("gil-schedstat", "gil-switch", "gil-handoffs", "scheduling", "lifetimes", "ledger-known")
"""What only tells of metrics, and not of whether captures work on this machine."""

SELF_TEST_CHECKS = ("runs", *(check for check in _OF_WATCHED if check not in _NOT_IN_SELF_TEST))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyRequest:
    """What to compare. `pairs` is the number of pairs of runs per cost."""

    cases: tuple[Case, ...]
    pythons: tuple[Interpreter, ...]
    checks: tuple[str, ...] = tuple(CHECKS)
    subjects: tuple[capture_cost.Subject, ...] = capture_cost.SUBJECTS
    cost_pythons: tuple[Interpreter, ...] = ()
    thorough: bool = False
    """Also judge the ledger without the kernel capture, and the accounting of workloads' tasks."""
    pairs: int = 80
    scratch: Path | None = None

    def __post_init__(self) -> None:
        for check in self.checks:
            if check not in CHECKS:
                raise UsageError(f"unknown check {check!r}: known are {', '.join(CHECKS)}", "make accuracy")


def run_comparisons(
    wanted: AccuracyRequest, on_step: Callable[[str], None] = lambda step: None, progress: SavedProgress | None = None
) -> Iterator[Comparison]:
    """Yield the comparisons as they are made; a program that cannot be run gives one, too.

    `on_step` gets the name of each step before it runs. Steps that `progress` has are not run again; the others are
    saved there. Raises OutputUnwritable.
    """
    for step, make in _steps(wanted):
        rows = None if progress is None else progress.find(step)
        if rows is None:
            on_step(step)
            rows = make()
            if progress is not None:
                progress.save(step, rows)
        yield from rows


def _steps(wanted: AccuracyRequest) -> Iterator[Step]:
    for interpreter in wanted.pythons:
        yield from _programs(wanted, interpreter)
    if any(check in COSTS for check in wanted.checks):
        for interpreter in wanted.cost_pythons:
            for subject in wanted.subjects:
                step = f"{interpreter.label}: what {subject.capture} costs {subject.name}"
                yield step, partial(_cost, wanted, subject, interpreter)


def _programs(wanted: AccuracyRequest, interpreter: Interpreter) -> Iterator[Step]:
    reasons = {name: _lacks(name, interpreter) for name in (WAITS, KERNEL, PY_SPY)}
    lacking = {name: reason for name, reason in reasons.items() if reason}
    if wanted.thorough and "gil-schedstat" in wanted.checks and KERNEL not in lacking:
        for workload in task_accounting.WORK:
            step = f"{interpreter.label}: tasks of {workload} under {KERNEL}"
            yield step, partial(_tasks, workload, interpreter, wanted.scratch)
    for check, (name, measure) in _OF_SUITES.items():
        if wanted.thorough and check in wanted.checks and KERNEL not in lacking:
            step = f"{interpreter.label}: {name} under {KERNEL}"
            yield step, partial(_suite, name, measure, interpreter, wanted.scratch)
    for case in wanted.cases:
        for capture, compare in _runs(wanted, case, lacking):
            step = f"{interpreter.label}: {case.name} under {capture}"
            yield step, partial(_checked, case, interpreter, capture, compare, wanted.scratch)
        if cannot := list(_cannot(wanted, case, lacking)):
            place = ComparedRun(program=case.name, python=interpreter.label, steal_ns=None)
            rows = [place.mark_unavailable(check, reason) for check, reason in cannot]
            yield f"{interpreter.label}: {case.name}, what cannot be compared", partial(list, rows)


def _runs(wanted: AccuracyRequest, case: Case, lacking: Mapping[str, str]) -> Iterator[tuple[str, list[Compare]]]:
    """The captures that one case is run under, and the comparisons to make of each run."""
    checks = [check for check in wanted.checks if check in (case.checks or wanted.checks)]
    watched = [_OF_WATCHED[check] for check in _OF_WATCHED if check in checks]
    if watched and WAITS not in lacking:
        yield WAITS if KERNEL in lacking else f"{WAITS}+{KERNEL}", watched
        again = [_OF_WATCHED[check] for check in _OF_LEDGER if check in checks]
        if again and wanted.thorough and not case.long and KERNEL not in lacking:
            yield WAITS, again
    if case.sampled and "gil-py-spy" in wanted.checks and not {PY_SPY, KERNEL} & lacking.keys():
        yield f"{PY_SPY}+{KERNEL}", [gil.compare_pyspy]


def _cannot(wanted: AccuracyRequest, case: Case, lacking: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The checks that are not possible for one case, and why."""
    if WAITS in lacking:
        yield from ((check, lacking[WAITS]) for check in _OF_WATCHED if check in wanted.checks)
    if case.sampled and "gil-py-spy" in wanted.checks and {PY_SPY, KERNEL} & lacking.keys():
        yield "gil-py-spy", lacking.get(PY_SPY) or lacking[KERNEL]


def _checked(
    case: Case,
    interpreter: Interpreter,
    capture: str,
    compare: Sequence[Compare],
    scratch: Path | None,
) -> list[Comparison]:
    """The comparisons of one case; it is repeated while a busy machine leaves some of them inconclusive."""
    rows: list[Comparison] = []
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-accuracy-") as folder:
            try:
                seen = watch_case(case, interpreter, capture, Path(folder))
            except TracekitError as error:
                place = ComparedRun(program=case.name, python=interpreter.label, steal_ns=None)
                return [place.compare("runs", capture, "fail", reason=str(error))]
        if seen.known.unavailable:
            return [seen.place.mark_unavailable("runs", seen.known.unavailable, capture)]
        rows = [seen.place.compare("runs", capture, "ok"), *(row for each in compare for row in each(seen))]
        if _is_decided(rows):
            break
    return rows


def _suite(name: str, measure: Measure, interpreter: Interpreter, scratch: Path | None) -> list[Comparison]:
    """The comparisons of a suite; it is repeated while a busy machine leaves some of them inconclusive."""
    rows: list[Comparison] = []
    for _ in range(ATTEMPTS):
        try:
            rows = measure(interpreter, scratch)
        except TracekitError as error:
            place = ComparedRun(program=name, python=interpreter.label, steal_ns=None)
            return [place.compare("runs", KERNEL, "fail", reason=str(error))]
        if _is_decided(rows):
            break
    return rows


def _is_decided(rows: Sequence[Comparison]) -> bool:
    """Whether to leave it at that: a failure stays, and an inconclusive row beside it is no reason to repeat."""
    verdicts = {row.verdict for row in rows}
    return "fail" in verdicts or "inconclusive" not in verdicts


def _tasks(workload: str, interpreter: Interpreter, scratch: Path | None) -> list[Comparison]:
    try:
        return task_accounting.measure_task_accounting(workload, interpreter, scratch)
    except TracekitError as error:
        place = ComparedRun(program=f"{workload}, threads", python=interpreter.label, steal_ns=None)
        return [place.compare("runs", KERNEL, "fail", reason=str(error))]


def _cost(wanted: AccuracyRequest, subject: capture_cost.Subject, interpreter: Interpreter) -> list[Comparison]:
    try:
        rows = capture_cost.measure_cost(subject, interpreter, pairs=wanted.pairs, scratch=wanted.scratch)
    except TracekitError as error:
        place = ComparedRun(program=subject.name, python=interpreter.label, steal_ns=None)
        return [place.compare("runs", subject.capture, "fail", reason=str(error))]
    return [row for row in rows if row.check in wanted.checks]


def _lacks(name: str, interpreter: Interpreter) -> str:
    """Why a capture does not work for the interpreter; empty when it does."""
    try:
        load_capture(name).preflight(interpreter, Provision())
    except (CaptureUnavailable, UsageError) as error:
        return str(error)
    return ""


def self_test(on_step: Callable[[str], None] = lambda step: None) -> Iterator[Comparison]:
    """Run a quick subset with tracekit's own Python, in about half a minute, for `tracekit doctor --self-test`.

    Where the kernel capture does not work, the probe is compared with what the programs know of themselves only. Raises
    CaptureUnavailable without a wait probe.
    """
    interpreter = interpreters.inspect_own()
    load_capture(WAITS).preflight(interpreter, Provision())
    wanted = AccuracyRequest(cases=choose_cases((), quick=True), pythons=(interpreter,), checks=SELF_TEST_CHECKS)
    yield from run_comparisons(wanted, on_step)
