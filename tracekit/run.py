"""Making runs: launch, watch, time out, seal; one after another in the order of the plan.

A run that fails is kept with its reason and its cell is not tried again; the rest of the suite goes on. Two models
that compute different results end the suite at once: nothing about their speed means anything then.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tracekit
from tracekit import environment
from tracekit.bundle import Bundle, SuiteFolder, explained_os_errors
from tracekit.capture import Capture, named
from tracekit.errors import ChecksumMismatch, RunFailed
from tracekit.guard import guarded
from tracekit.launch import Ended, launch, link_packages, measured_environment
from tracekit.notices import Notice, notice
from tracekit.spec import RunSpec, Suite
from tracekit.worker_memory import MemoryReader

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
    import_folder = folder.root / "import"
    package = Path(tracekit.__file__).resolve().parent
    with explained_os_errors(import_folder):
        link_packages(import_folder, {name: package.parent / name for name in ("tracekit", "workloads")})
    facts = environment.describe()
    outcomes: list[Outcome] = []
    failed: set[tuple[object, ...]] = set()
    ways = {_way(spec) for spec in suite.specs if spec.workload == suite.workload}
    found = list(notices)
    status = "interrupted"
    try:
        with guarded() as guard:
            for number, spec in enumerate(suite.specs):
                if _way(spec) in failed:
                    continue
                if on_start is not None:
                    on_start(number, spec)
                outcome = run_one(spec, folder.bundle(spec.run_id), import_folder, facts, guard.watch)
                guard.rest()
                outcomes.append(outcome)
                if outcome.failed:
                    failed.add(_way(spec))
                if on_end is not None:
                    on_end(number, outcome)
                _check_results(outcomes)
                # What fails before the work begins, a module that does not import, say, fails under every model.
                if failed >= ways or outcome.unloadable:
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
            f"cat {shlex.quote(str(folder.bundle(first.spec.run_id).root / 'stderr.log'))}",
        )
    return SuiteOutcome(folder=folder, status=status, outcomes=tuple(outcomes), notices=tuple(found))


def _way(spec: RunSpec) -> tuple[object, ...]:
    """What a failed timed run condemns: this work under this model, workers and interpreter, watched or not."""
    return (spec.workload, spec.model, spec.workers, spec.python_label)


def run_one(
    spec: RunSpec,
    bundle: Bundle,
    import_folder: Path,
    facts: dict[str, Any],
    started: Callable[[int], None] | None = None,
) -> Outcome:
    """Make one run and seal its bundle.

    `facts` is the suite's environment; `started` gets the measured process's id at once. Raises OutputUnwritable.
    """
    capture = named(spec.capture)
    bundle.create(spec)
    before = environment.busy()
    measured = [spec.python, "-m", "tracekit.measure", str(bundle.root.resolve()), str(Path.cwd())]
    argv = capture.wrap(measured, spec, bundle)
    reader = MemoryReader(bundle) if spec.warmup else None
    try:
        with explained_os_errors(bundle.root), capture.around(spec, bundle) as variables:
            ended = launch(
                argv,
                env={**measured_environment(import_folder.resolve()), **variables},
                cwd=import_folder,
                folder=bundle.root,
                timeout_s=spec.timeout_s,
                started=started,
                while_running=reader,
            )
    except BaseException:
        _seal(bundle, spec, facts, before, status="interrupted", reason="was interrupted", exit_code=None)
        raise
    facts_of = _read_main_stream(bundle, spec)
    status, reason, exit_code = _judge(spec, capture, ended, facts_of)
    found = [] if status != "ok" else capture.collect(spec, bundle, facts_of.pids)
    if not capture.passes_exit_code and not ended.timed_out and exit_code is None:
        found.append(notice("exit-code-unknown", run_id=spec.run_id))
    found += _gil_notices(bundle, spec)
    _seal(
        bundle,
        spec,
        facts,
        before,
        status=status,
        reason=reason,
        exit_code=exit_code,
        ended=ended,
        notices=found,
        processes=capture.processes(bundle),
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


@dataclass(slots=True, kw_only=True)
class _MainFacts:
    """What the main process said of itself, as far as it got."""

    checksum: str | None = None
    exit_code: int | None = None
    wall_ns: int | None = None
    failure: str | None = None
    pids: tuple[int, ...] = ()


def _read_main_stream(bundle: Bundle, spec: RunSpec) -> _MainFacts:
    """Read the streams' few facts that decide the run's status; the numbers are left to `load`."""
    facts = _MainFacts()
    pids = []
    for path in sorted(bundle.streams.glob("[0-9]*.jsonl")):
        pids.append(int(path.stem))
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
            if '"role":"main"' not in first:
                continue
            for line in file:
                if '"name":"task"' not in line and not line.startswith('{"kind":"counter"'):
                    _take(facts, line)
    facts.pids = tuple(pids)
    return facts


def _take(facts: _MainFacts, line: str) -> None:
    try:
        record = json.loads(line)
    except ValueError:
        # The process was killed while it wrote; what it lacks decides the status.
        return
    kind = record.get("kind")
    if kind == "result":
        facts.checksum = record["checksum"]
    elif kind == "failure":
        facts.failure = f"{record['type']}: {record['message']}".splitlines()[0]
    elif kind == "end":
        facts.exit_code = record["exit_code"]
    elif kind == "span" and record["name"] == "run":
        facts.wall_ns = record["dur_ns"]


def _judge(spec: RunSpec, capture: Capture, ended: Ended, facts: _MainFacts) -> tuple[str, str, int | None]:
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


def _seal(
    bundle: Bundle,
    spec: RunSpec,
    facts: dict[str, Any],
    before: dict[str, Any],
    *,
    status: str,
    reason: str,
    exit_code: int | None,
    ended: Ended | None = None,
    notices: Sequence[Notice] = (),
    processes: Sequence[dict[str, Any]] = (),
) -> None:
    after = environment.busy()
    for marker in bundle.root.glob("handshake.*"):
        marker.unlink()
    bundle.seal(
        {
            "spec": asdict(spec),
            "status": status,
            "reason": reason,
            "exit_code": exit_code,
            "started_ns": None if ended is None else ended.started_ns,
            "ended_ns": None if ended is None else ended.ended_ns,
            "environment": {
                **facts,
                "load_before": before["load"],
                "load_after": after["load"],
                "steal_before_ns": before["steal_ns"],
                "steal_after_ns": after["steal_ns"],
            },
            "notices": [list(item) for item in notices],
            "processes": list(processes),
        }
    )


def _gil_notices(bundle: Bundle, spec: RunSpec) -> list[Notice]:
    """CPython says on stderr which extension switched the GIL on in a free-threaded build."""
    log = (bundle.root / "stderr.log").read_text(encoding="utf-8", errors="replace")
    match = _GIL_SWITCHED.search(log)
    return [] if match is None else [notice("gil-switched", run_id=spec.run_id, module=match.group(1))]


def _check_results(outcomes: list[Outcome]) -> None:
    """Raise ChecksumMismatch when the newest result differs from an earlier one of the same work."""
    newest = outcomes[-1]
    if newest.checksum is None:
        return
    for other in outcomes[:-1]:
        same_work = other.spec.workload == newest.spec.workload and other.checksum is not None
        if same_work and other.checksum != newest.checksum:
            raise ChecksumMismatch(
                f"{newest.spec.workload} computed {newest.checksum} under {newest.spec.model} "
                f"and {other.checksum} under {other.spec.model}",
                f"compare the runs {other.spec.run_id} and {newest.spec.run_id} of {newest.spec.suite_id}",
            )
