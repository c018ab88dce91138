"""Runs one reference program under captures and reads both sides: its own answers and what tracekit measured."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.accuracy.cases import Case
from tracekit.accuracy.comparison import ComparedRun
from tracekit.accuracy.kernel_reference import KernelReference, read_reference
from tracekit.accuracy.known_answers import KnownAnswers, read_answers
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables
from tracekit.bundle.store import Store
from tracekit.core.errors import CaptureUnavailable, RunFailed
from tracekit.measure.running.captured_run import RunOutcome
from tracekit.measure.running.program_recorder import record
from tracekit.system.interpreters import Interpreter

PROGRAMS = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """One run of a case: the program's answers and what tracekit measured."""

    case: Case
    place: ComparedRun
    capture: str
    known: KnownAnswers
    tables: Tables
    processes: tuple[dict[str, Any], ...] = ()
    """The processes in the manifest."""
    kernel: KernelReference | None = None
    """None where the kernel capture did not run."""


def watch_case(case: Case, interpreter: Interpreter, capture: str, folder: Path) -> WatchedRun:
    """Run the case under the capture and read the suite that it leaves in `folder`, which is removed again.

    Raises RunFailed when the program fails, CaptureUnavailable when the capture does not work here.
    """
    recorded, known = record_case(case, interpreter, capture, folder)
    bundle = recorded.folder.bundle(recorded.run_id)
    manifest, kernel = bundle.manifest(), read_reference(bundle)
    # As api.analyse, but with the samples, which py-spy's share of the GIL wait needs.
    tables = load_suite(recorded.folder, traces=True)
    tables.metrics = compute_all(Analysis(tables))
    shutil.rmtree(recorded.folder.root)
    return WatchedRun(
        case=case,
        place=ComparedRun(program=case.name, python=interpreter.label, steal_ns=_steal(manifest["environment"])),
        capture=capture,
        known=known,
        tables=tables,
        processes=tuple(manifest["processes"]),
        kernel=kernel,
    )


def record_case(case: Case, interpreter: Interpreter, capture: str, folder: Path) -> tuple[RunOutcome, KnownAnswers]:
    """Record the case; its suite stays in `folder`. Raises as watch_case, and KeyboardInterrupt on a signal."""
    answer, log = folder / f"{case.name}.json", folder / f"{case.name}.log"
    answer.unlink(missing_ok=True)
    argv = [interpreter.executable, str(PROGRAMS), case.program, *case.options, "--answer", str(answer)]
    with log.open("wb") as file:
        recorded = record(
            argv,
            store=Store(folder / "store"),
            captures=capture.split("+"),
            name=case.name,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
        )
    used = recorded.folder.bundle(recorded.run_id).spec().capture
    if set(used.split("+")) != set(capture.split("+")):
        raise CaptureUnavailable(
            f"reference program {case.name} on Python {interpreter.label} was recorded under {used}, not {capture}",
            "tracekit doctor",
        )
    if recorded.exit_code in (-signal.SIGINT, -signal.SIGTERM):
        # `record` blocks the signal in tracekit, too, and passed it on to the program.
        raise KeyboardInterrupt
    if recorded.exit_code not in (0, None) or not answer.exists():
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RunFailed(
            f"reference program {case.name} on Python {interpreter.label} under {capture} ended with "
            f"{recorded.exit_code}: {said[-1] if said else recorded.reason or 'no output'}",
            shlex.join([interpreter.executable, str(PROGRAMS), case.program, *case.options]),
        )
    return recorded, read_answers(answer)


def _steal(facts: dict[str, Any]) -> int | None:
    before, after = facts.get("steal_before_ns"), facts.get("steal_after_ns")
    return None if before is None or after is None else int(after - before)
