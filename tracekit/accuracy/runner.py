"""The whole proof: every program on every Python under every capture, and what capturing costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tracekit.accuracy import capture_cost, task_accounting
from tracekit.accuracy.cases import Case
from tracekit.accuracy.checks import endings, gil, ledger, sites, switches, waits
from tracekit.accuracy.comparison import CHECKS, COSTS, Place, Row
from tracekit.accuracy.saved_progress import Progress
from tracekit.accuracy.watched_run import Seen, watch
from tracekit.core.errors import CaptureUnavailable, TracekitError, UsageError
from tracekit.measure.capture import Provision, named
from tracekit.system.interpreters import Interpreter

KERNEL, WAITS, PY_SPY = "kernel", "waits", "py-spy"

ATTEMPTS = 3
"""A run whose difference a busy machine may explain is made again: it says nothing either way."""

Compare: TypeAlias = Callable[[Seen], list[Row]]
Step: TypeAlias = tuple[str, Callable[[], list[Row]]]
"""What is run, as a user reads it and as it is known again, and how."""

_OF_WATCHED: dict[str, Compare] = {
    "gil-kernel": gil.against_kernel,
    "gil-schedstat": gil.accounting,
    "gil-known": gil.against_known,
    "waits-known": waits.against_known,
    "switches": switches.against_kernel,
    "unattributed": ledger.unattributed,
    "sites": sites.named,
    "names-move": sites.moving,
    "processes": endings.children,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be proved. `pairs` is how many pairs of runs a cost is found from."""

    cases: tuple[Case, ...]
    pythons: tuple[Interpreter, ...]
    checks: tuple[str, ...] = tuple(CHECKS)
    subjects: tuple[capture_cost.Subject, ...] = capture_cost.SUBJECTS
    cost_pythons: tuple[Interpreter, ...] = ()
    thorough: bool = False
    """Whether the ledger is also judged without the kernel capture, and the accounting by the tasks of workloads."""
    pairs: int = 80
    scratch: Path | None = None

    def __post_init__(self) -> None:
        for check in self.checks:
            if check not in CHECKS:
                raise UsageError(f"unknown check {check!r}: known are {', '.join(CHECKS)}", "make accuracy")


def prove(
    wanted: Wanted, on_step: Callable[[str], None] = lambda step: None, progress: Progress | None = None
) -> Iterator[Row]:
    """The rows, as they come; `on_step` is told what is being run. A program that cannot be run gives a row as well.

    Of a step that is finished in `progress` the rows are those; the others are kept there. Raises OutputUnwritable.
    """
    for step, make in _steps(wanted):
        rows = None if progress is None else progress.rows(step)
        if rows is None:
            on_step(step)
            rows = make()
            if progress is not None:
                progress.keep(step, rows)
        yield from rows


def _steps(wanted: Wanted) -> Iterator[Step]:
    for interpreter in wanted.pythons:
        yield from _programs(wanted, interpreter)
    if any(check in COSTS for check in wanted.checks):
        for interpreter in wanted.cost_pythons:
            for subject in wanted.subjects:
                step = f"{interpreter.label}: what {subject.capture} costs {subject.name}"
                yield step, partial(_cost, wanted, subject, interpreter)


def _programs(wanted: Wanted, interpreter: Interpreter) -> Iterator[Step]:
    reasons = {name: _lacks(name, interpreter) for name in (WAITS, KERNEL, PY_SPY)}
    lacking = {name: reason for name, reason in reasons.items() if reason}
    if wanted.thorough and "gil-schedstat" in wanted.checks and KERNEL not in lacking:
        for workload in task_accounting.WORK:
            step = f"{interpreter.label}: tasks of {workload} under {KERNEL}"
            yield step, partial(_tasks, workload, interpreter, wanted.scratch)
    for case in wanted.cases:
        for capture, compare in _runs(wanted, case, lacking):
            step = f"{interpreter.label}: {case.name} under {capture}"
            yield step, partial(_checked, case, interpreter, capture, compare, wanted.scratch)
        if cannot := list(_cannot(wanted, case, lacking)):
            place = Place(program=case.name, python=interpreter.label, steal_ns=None)
            rows = [place.unavailable(check, reason) for check, reason in cannot]
            yield f"{interpreter.label}: {case.name}, what cannot be compared", partial(list, rows)


def _runs(wanted: Wanted, case: Case, lacking: Mapping[str, str]) -> Iterator[tuple[str, list[Compare]]]:
    """The captures that one case is run under, and what is compared then."""
    watched = [_OF_WATCHED[check] for check in _OF_WATCHED if check in wanted.checks]
    if watched and WAITS not in lacking:
        yield WAITS if KERNEL in lacking else f"{WAITS}+{KERNEL}", watched
        again = wanted.thorough and not case.long and KERNEL not in lacking
        if again and "unattributed" in wanted.checks:
            yield WAITS, [ledger.unattributed]
    if case.sampled and "gil-py-spy" in wanted.checks and not {PY_SPY, KERNEL} & lacking.keys():
        yield f"{PY_SPY}+{KERNEL}", [gil.py_spy]


def _cannot(wanted: Wanted, case: Case, lacking: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The checks that cannot be made of one case, and why."""
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
) -> list[Row]:
    """The rows of one case, made again while a busy machine leaves some of them unclear."""
    rows: list[Row] = []
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=scratch, prefix="tk-truth-") as folder:
            try:
                seen = watch(case, interpreter, capture, Path(folder))
            except TracekitError as error:
                place = Place(program=case.name, python=interpreter.label, steal_ns=None)
                return [place.row("runs", capture, "off", reason=str(error))]
        if seen.known.unavailable:
            return [seen.place.unavailable("runs", seen.known.unavailable, capture)]
        rows = [seen.place.row("runs", capture, "ok"), *(row for each in compare for row in each(seen))]
        verdicts = {row.verdict for row in rows}
        # What is off stays off: another row's doubt is no reason to try again until it is not.
        if "off" in verdicts or "unclear" not in verdicts:
            break
    return rows


def _tasks(workload: str, interpreter: Interpreter, scratch: Path | None) -> list[Row]:
    try:
        return task_accounting.accounting(workload, interpreter, scratch)
    except TracekitError as error:
        place = Place(program=f"{workload}, threads", python=interpreter.label, steal_ns=None)
        return [place.row("runs", KERNEL, "off", reason=str(error))]


def _cost(wanted: Wanted, subject: capture_cost.Subject, interpreter: Interpreter) -> list[Row]:
    try:
        rows = capture_cost.measure(subject, interpreter, pairs=wanted.pairs, scratch=wanted.scratch)
    except TracekitError as error:
        place = Place(program=subject.name, python=interpreter.label, steal_ns=None)
        return [place.row("runs", subject.capture, "off", reason=str(error))]
    return [row for row in rows if row.check in wanted.checks]


def _lacks(name: str, interpreter: Interpreter) -> str:
    """Why that capture does not work for the interpreter; empty when it does."""
    try:
        named(name).preflight(interpreter, Provision())
    except (CaptureUnavailable, UsageError) as error:
        return str(error)
    return ""
