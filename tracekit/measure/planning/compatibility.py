"""Whether the measured interpreters can run a workload, and under which models a user's own can run."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tracekit
from tracekit.bundle.names import start_method_of
from tracekit.bundle.store import STDERR_LOG
from tracekit.core.errors import EnvironmentLacks, UsageError
from tracekit.core.notices import Notice, notice
from tracekit.measure.inside.compatibility_probe import EVERYWHERE, Problem
from tracekit.measure.planning.request import ResolvedRequest
from tracekit.measure.process.launch import launch, link_packages, measured_environment
from tracekit.measure.process.watchdog import scratch_prefix, start_watchdog
from tracekit.system.interpreters import Interpreter

if TYPE_CHECKING:
    from tracekit.workload import Value, Workload

_TIMEOUT_S = 120

_MISSING = (
    "import importlib.util as u, json, sys; print(json.dumps([name for name in sys.argv[1:] if not u.find_spec(name)]))"
)


def fit_request(request: ResolvedRequest, interpreters: Sequence[Interpreter]) -> tuple[ResolvedRequest, list[Notice]]:
    """The request without the models that cannot run it under each of the interpreters, with a notice for each reason,
    and with all parameters of a user's own workload.

    tracekit's own workloads run under every model. Raises UsageError where no model is left, EnvironmentLacks where an
    interpreter lacks what the workload needs or does not start.
    """
    if request.loaded is not None:
        for interpreter in interpreters:
            _check_needs(request.loaded, interpreter)
        return request, []
    answers = [_probe(request, interpreter) for interpreter in interpreters]
    found = dict.fromkeys(problem for answer in answers for problem in answer.problems)
    for concerned, reason, remedy in found:
        if concerned == EVERYWHERE:
            raise UsageError(reason, remedy)
    able = tuple(model for model in request.models if not found or not start_method_of(model))
    if not able:
        _, reason, remedy = next(iter(found))
        raise UsageError(f"no model is left: {reason}", remedy)
    unable = [model for model in request.models if model not in able]
    given = [
        notice("models-left-out", models=", ".join(unable), reason=reason, remedy=remedy)
        for _, reason, remedy in found
        if unable
    ]
    return replace(request, models=able, parameter_sets=(answers[0].parameters,)), given


def _check_needs(workload: Workload, interpreter: Interpreter) -> None:
    """Raise EnvironmentLacks where the interpreter has not all modules that the workload needs."""
    if not workload.needs:
        return
    missing: list[str] = []
    # An interpreter that cannot even answer fails its first run, which says how.
    with suppress(OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        answer = subprocess.run(
            [interpreter.executable, "-c", _MISSING, *workload.needs],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            # The user's folder is last on a measured process's path, and would be first here.
            cwd=Path(interpreter.executable).parent,
        )
        # A sitecustomize may print first.
        missing = json.loads(answer.stdout.splitlines()[-1])
    if missing:
        raise EnvironmentLacks(
            f"{workload.name} needs {' and '.join(missing)}, which Python {interpreter.label} does not have",
            shlex.join([interpreter.executable, "-m", "pip", "install", *missing]),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What keeps models from running a workload, and all its parameters."""

    problems: tuple[Problem, ...]
    parameters: dict[str, Value]


def _probe(request: ResolvedRequest, interpreter: Interpreter) -> _Answer:
    """Import the user's module in the interpreter, in a process of its own, and find out what models can run it.

    Raises UsageError where the process hangs or dies.
    """
    question = {
        "target": request.target,
        "items": request.items,
        "size": request.size,
        "seed": request.seed,
        "given": dict(request.parameter_sets[0]),
    }
    package = Path(tracekit.__file__).resolve().parent
    timeout_s = min(request.timeout_s, _TIMEOUT_S)
    with start_watchdog() as watchdog, tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
        scratch = Path(folder)
        question_file, answer_file, imports = scratch / "question", scratch / "answer", scratch / "import"
        question_file.write_text(json.dumps(question), encoding="utf-8")
        link_packages(imports, {name: package.parent / name for name in ("tracekit", "workloads")})
        ended = launch(
            [
                interpreter.executable,
                "-m",
                "tracekit.measure.inside.compatibility_probe",
                str(question_file),
                str(answer_file),
                str(Path.cwd()),
            ],
            env=measured_environment(imports),
            cwd=scratch,
            folder=scratch,
            timeout_s=timeout_s,
            watchdog=watchdog,
        )
        if ended.timed_out:
            raise UsageError(
                f"importing {request.workload} and making its items did not end within {timeout_s:g} s",
                "put what the module does when it is run under: if __name__ == '__main__'",
            )
        try:
            answer = json.loads(answer_file.read_bytes())
        except (OSError, ValueError):
            complaints = (scratch / STDERR_LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = complaints[-1] if complaints else f"exit code {ended.exit_code}"
            module = request.target.split(":")[0]
            raise UsageError(
                f"importing {request.workload} ended the process: {last}",
                f"{interpreter.executable} -c 'import {module}'",
            ) from None
    problems = tuple((models, reason, remedy) for models, reason, remedy in answer["problems"])
    return _Answer(problems, answer.get("parameters", {}))
