"""A request for a suite of runs, and its one resolution: names, defaults, parameters and limits, before any run.

`resolve_request` turns a Request, as a user makes it, into a ResolvedRequest. What comes after it (compatibility,
plan, estimate, command line) neither parses nor checks again.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from tracekit.bundle.names import EXECUTORS, PY_SPY, UNTRACED, VIZTRACER, WAITS
from tracekit.bundle.spec import RunSpec
from tracekit.core.errors import UsageError
from tracekit.measure.capture import CAPTURES
from tracekit.measure.inside.counters import COUNTERS
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.workload_registry import SUITES, WORKLOADS, find_announced
from tracekit.system.machine import count_usable_cpus
from tracekit.workload import SIZES

if TYPE_CHECKING:
    from tracekit.workload import Value, Workload

MAX_WORKERS = 1024
"""More is a typing error: each worker is a process or thread that exists at the same time."""

MAX_TIMEOUT_S = 1e6
"""Eleven days; the system's own timers take little more."""

_MAX_RUNS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asks for, unchecked. What is None is as the workload's `usual` says, else as DEFAULTS says."""

    workload: str
    """A name of `tracekit list workloads`, or `module:attribute`."""
    models: tuple[str, ...] | None = None
    workers: tuple[int, ...] | None = None
    size: str | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """Of the workload, as text or as values; the others have their defaults."""
    variants: tuple[Mapping[str, Value], ...] = ()
    """Further sets of parameters, each measured like `parameters` and beside it in every round; only for workloads that
    start their workers one by one."""
    items: str = ""
    """The Python expression that gives the items, where the workload is a function."""
    captures: tuple[str, ...] | None = None
    runs: int | None = None
    warmup: int | None = None
    controls: bool | None = None
    seed: int | None = None
    timeout_s: float | None = None
    rate_hz: int | None = None
    trace_entries: int | None = None
    counters: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRequest:
    """A request whose names are known, whose values are complete, and which can be planned as it is."""

    workload: str
    """A name of WORKLOADS, or `module:attribute`."""
    target: str
    """The workload's `module:attribute`."""
    loaded: Workload | None
    """The workload, where it is tracekit's own; others are imported by the measured interpreter only."""
    models: tuple[str, ...]
    workers: tuple[int, ...]
    size: str
    parameter_sets: tuple[Mapping[str, Value], ...]
    """At least one, none twice. Complete for tracekit's own workloads; compatibility.py completes those of others."""
    items: str
    captures: tuple[str, ...]
    runs: int
    warmup: int
    controls: bool
    seed: int
    timeout_s: float
    rate_hz: int
    trace_entries: int
    counters: str


def default_captures() -> tuple[str, ...]:
    """The captures that are tried by default; the wait probe is made for Linux."""
    return (WAITS, VIZTRACER, PY_SPY) if sys.platform == "linux" else (VIZTRACER, PY_SPY)


def default_workers(cpus: int) -> tuple[int, ...]:
    """1, 2, 4 ... up to the usable CPUs, these included, and at least 1 and 2."""
    counts = {1, 2, cpus}
    power = 4
    while power < cpus:
        counts.add(power)
        power *= 2
    return tuple(sorted(counts))


DEFAULTS: Mapping[str, Any] = {
    "models": EXECUTORS,
    "workers": default_workers(count_usable_cpus()),
    "size": "default",
    "captures": default_captures(),
    "runs": 5,
    "warmup": 1,
    "controls": True,
    "seed": 1,
    "timeout_s": 120.0,
    "rate_hz": RunSpec.rate_hz,
    "trace_entries": RunSpec.trace_entries,
    "counters": "auto",
}
"""By the names of Request."""


def resolve_request(request: Request) -> ResolvedRequest:
    """Find the workload, fill in what the request leaves open, and check all of it. Raises UsageError."""
    name = find_announced(request.workload)
    target = WORKLOADS.target(name)
    loaded: Workload | None = WORKLOADS.load(name) if name in WORKLOADS else None
    given = {key.name: getattr(request, key.name) for key in fields(request) if key.name in DEFAULTS}
    settings = {
        **DEFAULTS,
        **({} if loaded is None else loaded.usual),
        **{key: value for key, value in given.items() if value is not None},
    }
    resolved = ResolvedRequest(
        workload=name,
        target=target,
        loaded=loaded,
        items=request.items,
        parameter_sets=_parameter_sets(name, target, loaded, request),
        **settings,
    )
    _check_settings(resolved)
    return resolved


def resolve_suite(name: str, timeout_s: float) -> list[ResolvedRequest]:
    """The requests of a suite that has a name, each with this timeout or the longer one that its workload usually has.

    Raises UsageError.
    """
    found = []
    for request in SUITES.load(name):
        resolved = resolve_request(replace(request, timeout_s=timeout_s))
        usual = {} if resolved.loaded is None else resolved.loaded.usual
        found.append(replace(resolved, timeout_s=max(timeout_s, usual.get("timeout_s", 0.0))))
    return found


def _parameter_sets(
    name: str, target: str, loaded: Workload | None, request: Request
) -> tuple[Mapping[str, Value], ...]:
    """Every set of parameters that is to be measured. Raises UsageError for one that cannot be."""
    if request.variants and not (loaded is not None and loaded.worker_per_item):
        raise UsageError(
            f"a parameter of {name} has one value in a suite: only workloads that start their workers one by one are "
            "measured with several beside one another",
            f"tracekit run {name} --help",
        )
    if loaded is None:
        _check_target(target)
        return (dict(request.parameters),)
    if request.items:
        raise UsageError(
            f"{name} makes its own items; --items is for a function",
            f"tracekit run {name} --help",
        )
    try:
        found = [loaded.values(parameters) for parameters in (request.parameters, *request.variants)]
    except ValueError as error:
        raise UsageError(str(error), f"tracekit run {name} --help") from error
    return tuple(item for number, item in enumerate(found) if item not in found[:number])


def _check_settings(request: ResolvedRequest) -> None:
    """Raise UsageError for a setting that is out of range or unknown."""
    command = f"tracekit run {request.workload}"
    MODELS.check_all(list(request.models))
    _check_captures(request)
    if request.counters != "auto":
        COUNTERS.target(request.counters)
    if not request.models:
        raise UsageError("no model is left to run", "tracekit list models")
    for count in request.workers:
        if not 1 <= count <= MAX_WORKERS:
            raise UsageError(
                f"{count:,} workers cannot be started: from 1 to {MAX_WORKERS:,} can", f"{command} --workers 1,2"
            )
    if request.loaded is not None and request.loaded.worker_per_item and request.workers != (1,):
        raise UsageError(
            f"{request.workload} starts its workers one by one, and has one at a time", f"{command} --workers 1"
        )
    if request.size not in SIZES:
        raise UsageError(f"unknown size {request.size!r}: known are {', '.join(SIZES)}", f"{command} --size small")
    # Written so that a NaN fails as well.
    if not 0.1 <= request.timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(
            f"a timeout of {request.timeout_s:g} s: from 0.1 to {MAX_TIMEOUT_S:g} can be set",
            f"{command} --timeout 120",
        )
    if not 1 <= request.runs <= _MAX_RUNS:
        raise UsageError(f"{request.runs:,} runs: from 1 to {_MAX_RUNS:,} can be made", f"{command} --runs 5")


def _check_target(target: str) -> None:
    """Raise UsageError unless another process can import `module:attribute` by that name."""
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
            f"{target}: __main__ is the program that was started, here tracekit; worker processes could not import it",
            "save the function in a file, say mymodule.py, and run mymodule:function",
        )
    if not all(word.isidentifier() for word in words):
        raise UsageError(f"{target!r} is no name of the form module:attribute", "tracekit run mymodule:function")


def _check_captures(request: ResolvedRequest) -> None:
    for capture in request.captures:
        parts = capture.split("+")
        CAPTURES.check_all(parts)
        if len(parts) > 1 and (UNTRACED in parts or len(set(parts)) < len(parts)):
            raise UsageError(
                f"{capture!r} is no combination: name different captures, and not none",
                f"tracekit run {request.workload} --capture waits+kernel",
            )
