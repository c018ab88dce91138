"""A user's own workload or function: which of the models that were asked for can run it, and why others cannot."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tracekit
from tracekit.errors import EnvironmentLacks, UsageError
from tracekit.interpreters import Interpreter
from tracekit.launch import link_packages, measured_environment
from tracekit.models import START_METHODS
from tracekit.notices import Notice, notice
from tracekit.plan import WORKLOADS, Request
from tracekit.suitability import EVERYWHERE, Problem

if TYPE_CHECKING:
    from tracekit.workload import Value

_TIMEOUT_S = 120


def fitted(request: Request, interpreters: Sequence[Interpreter]) -> tuple[Request, list[Notice]]:
    """The request with all parameters and without the models that cannot run it under every one of the interpreters,
    and a notice for each reason to leave some out.

    tracekit's own workloads run under all of them, and nothing is asked. Raises UsageError where no model is left,
    EnvironmentLacks when the question cannot be put.
    """
    if request.workload in WORKLOADS:
        return request, []
    answers = [_ask(request, interpreter) for interpreter in interpreters]
    found = dict.fromkeys(problem for answer in answers for problem in answer.problems)
    for concerned, reason, remedy in found:
        if concerned == EVERYWHERE:
            raise UsageError(reason, remedy)
    able = tuple(model for model in request.models if not found or model not in START_METHODS)
    if not able:
        _, reason, remedy = next(iter(found))
        raise UsageError(f"no model is left: {reason}", remedy)
    unable = [model for model in request.models if model not in able]
    given = [
        notice("models-left-out", models=", ".join(unable), reason=reason, remedy=remedy)
        for _, reason, remedy in found
        if unable
    ]
    return replace(request, models=able, parameters=answers[0].parameters), given


@dataclass(frozen=True, slots=True)
class _Answer:
    problems: tuple[Problem, ...]
    parameters: dict[str, Value]


def _ask(request: Request, interpreter: Interpreter) -> _Answer:
    """What the interpreter says. Whatever importing the user's module does, it does it there."""
    question = {
        "target": WORKLOADS.target(request.workload),
        "items": request.items,
        "size": request.size,
        "seed": request.seed,
        "given": dict(request.parameters),
    }
    with tempfile.TemporaryDirectory(prefix="tk-") as scratch:
        imports, answer = Path(scratch) / "import", Path(scratch) / "answer"
        package = Path(tracekit.__file__).resolve().parent
        link_packages(imports, {"tracekit": package})
        try:
            done = subprocess.run(
                [interpreter.executable, "-m", "tracekit.suitability", str(answer), str(Path.cwd())],
                input=json.dumps(question),
                env=measured_environment(imports),
                cwd=scratch,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"importing {request.workload} and making its items did not end within {_TIMEOUT_S} s",
                "put what the module does when it is run under: if __name__ == '__main__'",
            ) from None
        except OSError as error:
            raise EnvironmentLacks(
                f"cannot start {interpreter.executable}: {error}", "tracekit list pythons"
            ) from error
        try:
            said = json.loads(answer.read_bytes())
            problems = tuple((whom, reason, remedy) for whom, reason, remedy in said["problems"])
            return _Answer(problems, said.get("parameters", {}))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            module = WORKLOADS.target(request.workload).split(":")[0]
            raise UsageError(
                f"importing {request.workload} ended the process: {last}",
                f"{interpreter.executable} -c 'import {module}'",
            ) from None
