"""What a user asked for, and whether it can be meant: checked before anything is measured."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tracekit.core.errors import UsageError
from tracekit.measure.capture import CAPTURES
from tracekit.measure.inside.counters import COUNTERS
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.workload import SIZES

if TYPE_CHECKING:
    from tracekit.workload import Value, Workload

MAX_WORKERS = 1024
"""More is a typing error: each worker is a process or thread that exists at the same time."""

MAX_TIMEOUT_S = 1e6
"""Eleven days; the system's own timers take little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asked for. Everything is checked by `check`, not here."""

    workload: str
    models: tuple[str, ...]
    workers: tuple[int, ...]
    size: str = "default"
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """Of the workload, as text or as they are; the others have their defaults."""
    variants: tuple[Mapping[str, Value], ...] = ()
    """Further sets of parameters, each of which is measured as well as `parameters`, beside it in every round; for
    workloads that start their workers one by one."""
    items: str = ""
    """The Python expression that gives the items, where the workload is a function."""
    captures: tuple[str, ...] = field(default_factory=lambda: default_captures())
    runs: int = 5
    warmup: int = 1
    controls: bool = True
    seed: int = 1
    timeout_s: float = 120.0
    rate_hz: int = 100
    counters: str = "auto"


def default_captures() -> tuple[str, ...]:
    """What is tried where nothing else is asked for; the wait probe is made for Linux."""
    return ("waits", "viztracer", "py-spy") if sys.platform == "linux" else ("viztracer", "py-spy")


def default_workers(usable_cpus: int) -> tuple[int, ...]:
    """1, 2, 4 ... up to the usable CPUs, these included, and at least 1 and 2."""
    counts = {1, 2, usable_cpus}
    power = 4
    while power < usable_cpus:
        counts.add(power)
        power *= 2
    return tuple(sorted(counts))


def check(request: Request) -> None:
    """Raise UsageError when the request cannot be meant."""
    variants_of(request)
    MODELS.check_all(list(request.models))
    _check_captures(request)
    if request.counters != "auto":
        COUNTERS.target(request.counters)
    if not request.models:
        raise UsageError("no model is left to run", "tracekit list models")
    for count in request.workers:
        if not 1 <= count <= MAX_WORKERS:
            raise UsageError(
                f"{count:,} workers cannot be started: from 1 to {MAX_WORKERS:,} can",
                f"tracekit run {request.workload} --workers 1,2",
            )
    if _one_by_one(request.workload) and request.workers != (1,):
        raise UsageError(
            f"{request.workload} starts its workers one by one, and has one at a time",
            f"tracekit run {request.workload} --workers 1",
        )
    if request.size not in SIZES:
        raise UsageError(
            f"unknown size {request.size!r}: known are {', '.join(SIZES)}",
            f"tracekit run {request.workload} --size small",
        )
    # Written so that a NaN fails as well.
    if not 0.1 <= request.timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(
            f"a timeout of {request.timeout_s:g} s: from 0.1 to {MAX_TIMEOUT_S:g} can be set",
            f"tracekit run {request.workload} --timeout 120",
        )
    if not 1 <= request.runs <= 1000:
        raise UsageError(
            f"{request.runs:,} runs: from 1 to 1,000 can be made", f"tracekit run {request.workload} --runs 5"
        )


def parameters_of(request: Request) -> dict[str, Value]:
    """Every parameter of the requested workload with its value; those of a user's own as they are given, which the
    measured interpreter completes (own_work.py). Raises UsageError for one that cannot be meant.
    """
    target = WORKLOADS.target(request.workload)
    if request.workload not in WORKLOADS:
        _check_target(target)
        return dict(request.parameters)
    if request.items:
        raise UsageError(
            f"{request.workload} makes its own items; --items is for a function",
            f"tracekit run {request.workload} --help",
        )
    workload: Workload = WORKLOADS.load(request.workload)
    try:
        return workload.values(request.parameters)
    except ValueError as error:
        raise UsageError(str(error), f"tracekit run {request.workload} --help") from error


def variants_of(request: Request) -> tuple[dict[str, Value], ...]:
    """Every set of parameters that is to be measured, each complete. Raises UsageError."""
    if not request.variants:
        return (parameters_of(request),)
    if not _one_by_one(request.workload):
        raise UsageError(
            f"a parameter of {request.workload} has one value in a suite: only workloads that start their workers one "
            "by one are measured with several beside one another",
            f"tracekit run {request.workload} --help",
        )
    sets = (request.parameters, *request.variants)
    found = [parameters_of(replace(request, parameters=parameters, variants=())) for parameters in sets]
    return tuple(item for number, item in enumerate(found) if item not in found[:number])


def _one_by_one(workload: str) -> bool:
    """Of one of tracekit's own; others are imported by the measured interpreter only."""
    return workload in WORKLOADS and WORKLOADS.load(workload).worker_per_item is True


def _check_target(target: str) -> None:
    """`module:attribute` must be something that another process can import by that name."""
    module, _, attribute = target.partition(":")
    words = [*module.split("."), *attribute.split(".")]
    if module.endswith(".py") or "/" in module:
        named = module.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(
            f"{module} is a file; a workload is named by its module, which worker processes import",
            f"tracekit run {shlex.quote(f'{named}:{attribute}')}",
        )
    if module == "__main__":
        raise UsageError(
            f"{target}: __main__ is whatever program was started, here tracekit; worker processes could not import it",
            "save the function in a file, say mymodule.py, and run mymodule:function",
        )
    if not all(word.isidentifier() for word in words):
        raise UsageError(f"{target!r} is no name of the form module:attribute", "tracekit run mymodule:function")


def _check_captures(request: Request) -> None:
    for capture in request.captures:
        parts = capture.split("+")
        CAPTURES.check_all(parts)
        if len(parts) > 1 and ("none" in parts or len(set(parts)) < len(parts)):
            raise UsageError(
                f"{capture!r} is no combination: name different captures, and not none",
                f"tracekit run {request.workload} --capture waits+kernel",
            )
