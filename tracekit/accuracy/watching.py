"""Running one truth program under captures, and what is then known of the run from both sides."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.accuracy.answers import Known, read_known
from tracekit.accuracy.cases import Case
from tracekit.accuracy.kernel import KernelSaw, saw
from tracekit.accuracy.rows import Place
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import Tables
from tracekit.bundle.store import Store
from tracekit.core.errors import CaptureUnavailable, RunFailed
from tracekit.measure.running.program_outcome import Recorded
from tracekit.measure.running.program_recorder import record
from tracekit.system.interpreters import Interpreter

PROGRAMS = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One run of a case: what the program said, and what tracekit measured."""

    case: Case
    place: Place
    capture: str
    known: Known
    tables: Tables
    processes: tuple[dict[str, Any], ...] = ()
    """The manifest's lines."""
    kernel: KernelSaw | None = None
    """None where the kernel capture did not run."""


def watch(case: Case, interpreter: Interpreter, capture: str, folder: Path) -> Seen:
    """Run the case under the capture and read the suite that it leaves in `folder`, which is removed again.

    Raises RunFailed when the program fails, CaptureUnavailable when the capture does not work here.
    """
    recorded, known = run(case, interpreter, capture, folder)
    bundle = recorded.folder.bundle(recorded.run_id)
    manifest, kernel = bundle.manifest(), saw(bundle)
    # What api.analyse does, with the samples: py-spy's share of the GIL wait is made of them.
    tables = load_suite(recorded.folder, traces=True)
    tables.metrics = compute_all(Analysis(tables))
    shutil.rmtree(recorded.folder.root)
    return Seen(
        case=case,
        place=Place(program=case.name, python=interpreter.label, steal_ns=_steal(manifest["environment"])),
        capture=capture,
        known=known,
        tables=tables,
        processes=tuple(manifest["processes"]),
        kernel=kernel,
    )


def run(case: Case, interpreter: Interpreter, capture: str, folder: Path) -> tuple[Recorded, Known]:
    """Record the case; its suite stays in `folder`. Raises as `watch`, and KeyboardInterrupt when somebody ended it."""
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
            f"truth program {case.name} on Python {interpreter.label} was watched by {used}, not by {capture}",
            "tracekit doctor",
        )
    if recorded.exit_code in (-signal.SIGINT, -signal.SIGTERM):
        # record held the signal back for us as well, and passed it on.
        raise KeyboardInterrupt
    if recorded.exit_code not in (0, None) or not answer.exists():
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RunFailed(
            f"truth program {case.name} on Python {interpreter.label} under {capture} ended with "
            f"{recorded.exit_code}: {said[-1] if said else recorded.reason or 'it said nothing'}",
            shlex.join([interpreter.executable, str(PROGRAMS), case.program, *case.options]),
        )
    return recorded, read_known(answer)


def _steal(facts: dict[str, Any]) -> int | None:
    before, after = facts.get("steal_before_ns"), facts.get("steal_after_ns")
    return None if before is None or after is None else int(after - before)
