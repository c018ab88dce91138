"""What `tracekit run claims` runs: the experiments that put to the test what is said of threads and processes.

What follows from their numbers is in `report/pages/claims`, which knows nothing but these.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracekit.bundle.names import START_METHODS, UNTRACED
from tracekit.bundle.spec import CLAIMS, Suite
from tracekit.measure.planning.plan import plan, renumbered
from tracekit.measure.planning.request import Request
from tracekit.measure.planning.workload_registry import usual
from tracekit.system.interpreters import Interpreter

SUMMARY = "what is said of threads and processes, put to the test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A workload, run this way; `runs` where an interval of the median needs them, else one."""

    workload: str
    models: tuple[str, ...]
    size: str = "default"
    parameters: Mapping[str, str] = field(default_factory=dict)
    workers: tuple[int, ...] = (2,)
    runs: int = 1
    warmup: int = 0


EXPERIMENTS = (
    Experiment(workload="shared-state", models=("threads", *START_METHODS), size="small"),
    Experiment(workload="race", models=("threads",), size="small", parameters={"lock": "no"}, runs=5),
    Experiment(workload="race", models=("threads",), size="smoke", parameters={"lock": "yes"}, runs=5),
    Experiment(workload="big-results", models=("threads", "fork"), runs=5),
    Experiment(workload="start-stop", models=("threads", *START_METHODS), size="small", workers=(1,), runs=7),
    Experiment(workload="skewed-tasks", models=("fork",), parameters={"chunksize": "32"}, runs=5),
    Experiment(workload="skewed-tasks", models=("fork",), parameters={"chunksize": "1"}, runs=5),
    # Memory is read in the warm-up run, while all workers are alive.
    Experiment(workload="memory-per-worker", models=("threads", "fork"), size="small", workers=(1, 4), warmup=1),
    Experiment(workload="crash", models=("threads",)),
)


def plan_claims(interpreters: list[Interpreter], suite_id: str, timeout_s: float, command: Sequence[str]) -> Suite:
    """All runs of the experiments, the repeats of all of them in turn. Raises UsageError."""
    specs = itertools.chain(
        *(
            plan(_request(experiment, timeout_s), interpreters, suite_id, {}, tuple(command)).specs
            for experiment in EXPERIMENTS
        )
    )
    in_turn = sorted(specs, key=lambda spec: (not spec.warmup, spec.repeat))
    return Suite(suite_id=suite_id, workload=CLAIMS, size="", specs=renumbered(in_turn), command=tuple(command))


def _request(experiment: Experiment, timeout_s: float) -> Request:
    request = Request(
        workload=experiment.workload,
        models=experiment.models,
        workers=experiment.workers,
        size=experiment.size,
        parameters=experiment.parameters,
        captures=(UNTRACED,),
        runs=experiment.runs,
        warmup=experiment.warmup,
        controls=False,
        timeout_s=timeout_s,
    )
    as_usual = usual(experiment.workload)
    return replace(request, **{**as_usual, "timeout_s": max(timeout_s, as_usual.get("timeout_s", 0.0))})
