"""Makes the runs of a suite, one after another in the order of the plan.

A run that fails is kept with its reason and its cell is not tried again; the rest of the suite goes on. Two models
that compute different results end the suite at once: their speeds cannot be compared.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracekit
from tracekit.bundle import marks_file
from tracekit.bundle.spec import RunSpec, Suite, parameters_text
from tracekit.bundle.store import Bundle, SuiteFolder, explained_os_errors
from tracekit.core.errors import ChecksumMismatch, OutputUnwritable, RunFailed, TracekitError
from tracekit.core.notices import Notice
from tracekit.measure.capture import Capture
from tracekit.measure.process.command_wrapper import add_variables, changed_variables, prefix_env
from tracekit.measure.process.launch import ProcessResult, launch, link_packages, measured_environment
from tracekit.measure.process.watchdog import Watchdog, start_watchdog
from tracekit.measure.running.captured_run import RunOutcome, finish_run, watch_process
from tracekit.measure.running.manifest import MachineBefore, write_manifest
from tracekit.measure.running.memory_sampler import MemorySampler, remove_handshake
from tracekit.system import machine

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOutcome:
    """How a suite ended. `status` is ok, failed (some cell has no result) or interrupted."""

    folder: SuiteFolder
    status: str
    outcomes: tuple[RunOutcome, ...]
    notices: tuple[Notice, ...]


def run_suite(
    suite: Suite,
    folder: SuiteFolder,
    notices: Sequence[Notice] = (),
    on_start: Callable[[int, RunSpec], None] | None = None,
    on_end: Callable[[int, RunOutcome], None] | None = None,
) -> SuiteOutcome:
    """Make all runs of the suite. `notices` are those of the preflights.

    Raises OutputUnwritable, ChecksumMismatch, and RunFailed when no run at all succeeded. On KeyboardInterrupt what
    was measured so far is kept, the suite is marked, and the interrupt goes on.
    """
    folder.create(suite)
    outcomes: list[RunOutcome] = []
    status = "interrupted"
    try:
        with closing(_make_runs(suite, folder, on_start, on_end)) as runs:
            for outcome in runs:
                outcomes.append(outcome)
                _check_results(outcomes)
        status = "failed" if any(outcome.failed for outcome in outcomes) else "ok"
    except ChecksumMismatch:
        status = "failed"
        raise
    finally:
        folder.finish(status, list(notices))
    if not any(outcome.status == "ok" for outcome in outcomes):
        first = outcomes[0]
        raise RunFailed(
            f"no run succeeded; the first ({first.spec.model}) {first.reason}",
            f"cat {shlex.quote(str(first.bundle.stderr_log))}",
        )
    return SuiteOutcome(folder=folder, status=status, outcomes=tuple(outcomes), notices=tuple(notices))


def _make_runs(
    suite: Suite,
    folder: SuiteFolder,
    on_start: Callable[[int, RunSpec], None] | None,
    on_end: Callable[[int, RunOutcome], None] | None,
) -> Generator[RunOutcome]:
    """The outcomes of the suite's runs, each as soon as it is there; those that need not be tried are left out."""
    skips = _Skips(suite)
    with _make_import_folder(folder) as import_folder, start_watchdog() as watchdog:
        variables = machine.read_variables(measured_environment(import_folder.resolve()))
        facts = {**machine.describe(), "variables": variables}
        for number, spec in enumerate(suite.specs):
            if skips.is_skipped(spec):
                continue
            if on_start is not None:
                on_start(number, spec)
            outcome = run_one(spec, folder.bundle(spec.run_id), import_folder, facts, watchdog)
            skips.add(outcome)
            if on_end is not None:
                on_end(number, outcome)
            yield outcome
            if skips.is_suite_over():
                break


@contextmanager
def _make_import_folder(folder: SuiteFolder) -> Iterator[Path]:
    """The folder from which measured processes import tracekit and workloads, for the length of a `with`."""
    import_folder = folder.imports
    package = Path(tracekit.__file__).resolve().parent
    with explained_os_errors(import_folder):
        link_packages(import_folder, {name: package.parent / name for name in ("tracekit", "workloads")})
    try:
        yield import_folder
    finally:
        shutil.rmtree(import_folder, ignore_errors=True)


class _Skips:
    """Which runs of a suite are not tried any more, because of those that failed before them."""

    def __init__(self, suite: Suite) -> None:
        self._failed: set[Key] = set()
        self._unwatchable: set[Key] = set()
        self._of_workload = {_variant(spec) for spec in suite.specs if spec.workload == suite.workload}
        self._is_unloadable = False

    def is_skipped(self, spec: RunSpec) -> bool:
        return _variant(spec) in self._failed or spec.cell in self._unwatchable

    def add(self, outcome: RunOutcome) -> None:
        """Take note of a run that was made."""
        if outcome.failed:
            self._failed.add(_variant(outcome.spec))
        elif outcome.status != "ok":
            self._unwatchable.add(outcome.spec.cell)
        self._is_unloadable = self._is_unloadable or outcome.is_unloadable

    def is_suite_over(self) -> bool:
        """Whether nothing is left to try: what fails before the work begins, in its import say, fails everywhere."""
        return self._is_unloadable or bool(self._of_workload and self._failed >= self._of_workload)


def _work(spec: RunSpec) -> Key:
    """What must agree for two results to be comparable."""
    return (spec.workload, spec.size, parameters_text(spec.parameters), spec.seed)


def _variant(spec: RunSpec) -> Key:
    """What a failed timed run rules out: this work under this model, workers and interpreter, traced or not."""
    return (*_work(spec), spec.model, spec.workers, spec.python_label)


def run_one(
    spec: RunSpec,
    bundle: Bundle,
    import_folder: Path,
    facts: dict[str, Any],
    watchdog: Watchdog,
    started: Callable[[int], None] | None = None,
) -> RunOutcome:
    """Make one run and seal its bundle.

    `facts` is the suite's environment; `watchdog` starts the process, and `started` gets its id at once. What a capture
    cannot do fails the run and is its reason. Raises OutputUnwritable, and under capture none what kept the process
    from running.
    """
    bundle.create(spec)
    before = MachineBefore(facts=facts)

    def start(capture: Capture, variables: Mapping[str, str]) -> ProcessResult:
        return _launch(spec, bundle, capture, import_folder, variables, watchdog, started)

    def seal(status: str, reason: str) -> None:
        remove_handshake(bundle)
        write_manifest(bundle, spec, before, status=status, reason=reason)

    try:
        with watchdog.starts_here():
            watched = watch_process(bundle, spec, start)
        outcome = finish_run(bundle, spec, before, watched)
    except TracekitError as error:
        if spec.capture == "none" or isinstance(error, OutputUnwritable):
            seal("interrupted", "was interrupted")
            raise
        # It costs the trace, not the suite.
        seal("failed", str(error))
        return RunOutcome(spec=spec, bundle=bundle, status="failed", reason=str(error), failure=error)
    except BaseException:
        seal("interrupted", "was interrupted")
        raise
    if isinstance(outcome.failure, OutputUnwritable):
        raise outcome.failure
    return outcome


def _launch(
    spec: RunSpec,
    bundle: Bundle,
    capture: Capture,
    import_folder: Path,
    variables: Mapping[str, str],
    watchdog: Watchdog,
    started: Callable[[int], None] | None,
) -> ProcessResult:
    """Start the measured process, under the capture's command if it has one, and wait for its end."""
    measured = [spec.python, "-m", "tracekit.measure.inside.measured", str(bundle.root.resolve()), str(Path.cwd())]
    # Marks are for the process alone, and do no harm to a tool that starts it.
    env = {**measured_environment(import_folder.resolve()), marks_file.VARIABLE: variables[marks_file.VARIABLE]}
    argv = capture.wrap(measured, spec, bundle)
    if argv == measured:
        env = add_variables(env, variables)
    elif changed := changed_variables(env, variables):
        argv = capture.wrap(prefix_env(changed, measured), spec, bundle)
    return launch(
        argv,
        env=env,
        cwd=import_folder,
        folder=bundle.root,
        timeout_s=spec.timeout_s,
        watchdog=watchdog,
        started=started,
        while_running=MemorySampler(bundle) if spec.warmup else None,
    )


def _check_results(outcomes: Sequence[RunOutcome]) -> None:
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
