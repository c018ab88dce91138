"""Making runs: launch, watch, time out, seal; one after another in the order of the plan.

A run that fails is kept with its reason and its cell is not tried again; the rest of the suite goes on. Two models
that compute different results end the suite at once: nothing about their speed means anything then.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracekit
from tracekit.bundle.spec import RunSpec, Suite, parameters_text
from tracekit.bundle.store import Bundle, SuiteFolder, explained_os_errors
from tracekit.core.errors import (
    CaptureUnavailable,
    ChecksumMismatch,
    MeasurementError,
    OutputUnwritable,
    RunFailed,
    TracekitError,
)
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, named
from tracekit.measure.process.command_wrapper import changes, setting, with_variables
from tracekit.measure.process.launch import Ended, launch, link_packages, measured_environment
from tracekit.measure.process.watchdog import guarded
from tracekit.measure.running.main_stream import MainFacts, read_main_stream
from tracekit.measure.running.manifest import Machine, seal
from tracekit.measure.running.memory_sampler import MemoryReader
from tracekit.system import machine

_GIL_SWITCHED = re.compile(r"global interpreter lock \(GIL\) has been enabled to load module '([^']+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run ended: what progress, checksum comparison and the suite's end need of it."""

    spec: RunSpec
    status: str
    reason: str
    checksum: str | None
    wall_ns: int | None
    took_ns: int
    """From launch to end, with interpreter start: what the time left is estimated from."""

    unloadable: bool = False
    """The workload raised before its work began: it does not import, or has no such size."""

    @property
    def failed(self) -> bool:
        """Whether a number is missing. A traced run that failed costs a picture, and the report says so."""
        return self.status != "ok" and self.spec.capture == "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOutcome:
    """How a suite ended. `status` is ok, failed (some cell has no result) or interrupted."""

    folder: SuiteFolder
    status: str
    outcomes: tuple[Outcome, ...]
    notices: tuple[Notice, ...]


def run_suite(
    suite: Suite,
    folder: SuiteFolder,
    notices: Sequence[Notice] = (),
    on_start: Callable[[int, RunSpec], None] | None = None,
    on_end: Callable[[int, Outcome], None] | None = None,
) -> SuiteOutcome:
    """Make all runs of the suite. `notices` are those of the preflights.

    Raises OutputUnwritable, ChecksumMismatch, and RunFailed when no run at all succeeded. On KeyboardInterrupt what
    was measured so far is kept, the suite is marked, and the interrupt goes on.
    """
    folder.create(suite)
    import_folder = folder.imports
    package = Path(tracekit.__file__).resolve().parent
    with explained_os_errors(import_folder):
        link_packages(import_folder, {name: package.parent / name for name in ("tracekit", "workloads")})
    facts = machine.describe()
    outcomes: list[Outcome] = []
    failed: set[tuple[object, ...]] = set()
    unwatchable: set[tuple[object, ...]] = set()
    ways = {_way(spec) for spec in suite.specs if spec.workload == suite.workload}
    found = list(notices)
    status = "interrupted"
    try:
        with guarded() as guard:
            for number, spec in enumerate(suite.specs):
                if _way(spec) in failed or spec.cell in unwatchable:
                    continue
                if on_start is not None:
                    on_start(number, spec)
                outcome = run_one(spec, folder.bundle(spec.run_id), import_folder, facts, guard.watch)
                guard.rest()
                outcomes.append(outcome)
                if outcome.failed:
                    failed.add(_way(spec))
                elif outcome.status != "ok":
                    unwatchable.add(spec.cell)
                if on_end is not None:
                    on_end(number, outcome)
                _check_results(outcomes)
                # What fails before the work begins, a module that does not import, say, fails under every model.
                if (ways and failed >= ways) or outcome.unloadable:
                    break
        status = "failed" if any(outcome.failed for outcome in outcomes) else "ok"
    except ChecksumMismatch:
        status = "failed"
        raise
    finally:
        shutil.rmtree(import_folder, ignore_errors=True)
        folder.finish(status, list(found))
    if not any(outcome.status == "ok" for outcome in outcomes):
        first = outcomes[0]
        raise RunFailed(
            f"no run succeeded; the first ({first.spec.model}) {first.reason}",
            f"cat {shlex.quote(str(folder.bundle(first.spec.run_id).stderr_log))}",
        )
    return SuiteOutcome(folder=folder, status=status, outcomes=tuple(outcomes), notices=tuple(found))


def _work(spec: RunSpec) -> tuple[object, ...]:
    """What must agree for two results to be comparable."""
    return (spec.workload, spec.size, parameters_text(spec.parameters), spec.seed)


def _way(spec: RunSpec) -> tuple[object, ...]:
    """What a failed timed run condemns: this work under this model, workers and interpreter, watched or not."""
    return (*_work(spec), spec.model, spec.workers, spec.python_label)


def run_one(
    spec: RunSpec,
    bundle: Bundle,
    import_folder: Path,
    facts: dict[str, Any],
    started: Callable[[int], None] | None = None,
) -> Outcome:
    """Make one run and seal its bundle.

    `facts` is the suite's environment; `started` gets the measured process's id at once. What a capture cannot do fails
    the run and is its reason. Raises OutputUnwritable.
    """
    capture = named(spec.capture)
    bundle.create(spec)
    machine = Machine(facts=facts)
    try:
        with explained_os_errors(bundle.root), capture.around(spec, bundle) as variables:
            ended = _launch(spec, bundle, capture, import_folder, variables, started)
    except TracekitError as error:
        if spec.capture == "none" or isinstance(error, OutputUnwritable):
            _seal_unmeasured(bundle, spec, machine, status="interrupted", reason="was interrupted")
            raise
        return _refused(bundle, spec, machine, error)
    except BaseException:
        _seal_unmeasured(bundle, spec, machine, status="interrupted", reason="was interrupted")
        raise
    facts_of = read_main_stream(bundle)
    status, reason, exit_code = _judge(spec, capture, ended, facts_of)
    try:
        processes = capture.processes(bundle)
        found = [] if status != "ok" else capture.collect(spec, bundle, facts_of.pids)
    except (CaptureUnavailable, MeasurementError) as error:
        return _refused(bundle, spec, machine, error)
    if not capture.passes_exit_code and not ended.timed_out and exit_code is None:
        found.append(notice("exit-code-unknown", run_id=spec.run_id))
    found += _gil_notices(bundle, spec)
    _clear_markers(bundle)
    seal(
        bundle,
        spec,
        machine,
        status=status,
        reason=reason,
        exit_code=exit_code,
        started_ns=ended.started_ns,
        ended_ns=ended.ended_ns,
        notices=found,
        processes=processes,
    )
    return Outcome(
        spec=spec,
        status=status,
        reason=reason,
        checksum=facts_of.checksum,
        wall_ns=facts_of.wall_ns,
        took_ns=ended.ended_ns - ended.started_ns,
        unloadable=facts_of.failure is not None and facts_of.wall_ns is None,
    )


def _launch(
    spec: RunSpec,
    bundle: Bundle,
    capture: Capture,
    import_folder: Path,
    variables: Mapping[str, str],
    started: Callable[[int], None] | None,
) -> Ended:
    """Start the measured process, under the capture's command if it has one, and wait for its end."""
    measured = [spec.python, "-m", "tracekit.measure.inside.measured", str(bundle.root.resolve()), str(Path.cwd())]
    env = measured_environment(import_folder.resolve())
    argv = capture.wrap(measured, spec, bundle)
    if argv == measured:
        env = with_variables(env, variables)
    elif variables:
        argv = capture.wrap(setting(changes(env, variables), measured), spec, bundle)
    return launch(
        argv,
        env=env,
        cwd=import_folder,
        folder=bundle.root,
        timeout_s=spec.timeout_s,
        started=started,
        while_running=MemoryReader(bundle) if spec.warmup else None,
    )


def _refused(bundle: Bundle, spec: RunSpec, machine: Machine, error: TracekitError) -> Outcome:
    """A run that its capture could not watch: it costs the picture, not the suite."""
    _seal_unmeasured(bundle, spec, machine, status="failed", reason=str(error))
    return Outcome(spec=spec, status="failed", reason=str(error), checksum=None, wall_ns=None, took_ns=0)


def _seal_unmeasured(bundle: Bundle, spec: RunSpec, machine: Machine, *, status: str, reason: str) -> None:
    _clear_markers(bundle)
    seal(bundle, spec, machine, status=status, reason=reason, exit_code=None)


def _clear_markers(bundle: Bundle) -> None:
    for marker in bundle.root.glob(f"{bundle.workers_ready.stem}.*"):
        marker.unlink()


def _judge(spec: RunSpec, capture: Capture, ended: Ended, facts: MainFacts) -> tuple[str, str, int | None]:
    """Status, reason and exit code of a run that was not interrupted."""
    code = ended.exit_code if capture.passes_exit_code or ended.timed_out else facts.exit_code
    if ended.timed_out:
        return "timed_out", f"was ended after {spec.timeout_s:g} s", None
    if code is None:
        return "killed", "left no exit code (killed, or left by os._exit)", None
    if code < 0:
        return "killed", f"was killed by signal {-code}", code
    if facts.failure is not None:
        return "failed", f"raised {facts.failure}", code
    if code != 0 or facts.checksum is None:
        return "failed", f"left with exit code {code} before its result", code
    return "ok", "", code


def _gil_notices(bundle: Bundle, spec: RunSpec) -> list[Notice]:
    """CPython says on stderr which extension switched the GIL on in a free-threaded build."""
    log = bundle.stderr_log.read_text(encoding="utf-8", errors="replace")
    match = _GIL_SWITCHED.search(log)
    return [] if match is None else [notice("gil-switched", run_id=spec.run_id, module=match.group(1))]


def _check_results(outcomes: list[Outcome]) -> None:
    """Raise ChecksumMismatch when the newest result differs from an earlier one of the same work."""
    newest = outcomes[-1]
    if newest.checksum is None:
        return
    for other in outcomes[:-1]:
        if other.checksum is None or _work(other.spec) != _work(newest.spec):
            continue
        if other.checksum != newest.checksum:
            raise ChecksumMismatch(
                f"{newest.spec.workload} computed {newest.checksum} under {newest.spec.model} "
                f"and {other.checksum} under {other.spec.model}",
                f"compare the runs {other.spec.run_id} and {newest.spec.run_id} of {newest.spec.suite_id}",
            )
