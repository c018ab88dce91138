"""From resolved requests to the runs of a suite: which cells, how often, in which order.

The order matters as much as the cells: the same binary measured as AAAA BBBB against itself showed a false 16 %
difference on a machine that drifted, and 0.5 % when interleaved. So every round runs every cell once, and each round
starts at another cell.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tracekit.bundle.names import (
    CONTROLS,
    SERIAL,
    START_METHODS,
    THREADS,
    UNTRACED,
    VIZTRACER,
    WAITS,
    WORKER_COSTS,
    is_light,
    start_method_of,
)
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Store
from tracekit.measure.planning.request import ResolvedRequest
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.system.interpreters import Interpreter

if TYPE_CHECKING:
    from tracekit.workload import Value

Captures = Mapping[tuple[str, str], str]
"""What the preflights allowed: (capture, interpreter label) -> the extra path that the capture needs there."""

_SLEEPERS = "sleepers"
"""The parameter of the control `worker-costs` that is set to one less than the workers."""

_CONTROL_METHODS = ("fork", "forkserver", "spawn")
"""The cheapest first: one of them stands for processes in the controls."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """One combination that is measured: its runs may be pooled."""

    workload: str
    target: str
    items: str = ""
    model: str
    workers: int
    control: bool
    parameters: tuple[tuple[str, Value], ...] = ()
    interpreter: Interpreter = field(repr=False)


def plan_suite(
    request: ResolvedRequest,
    interpreters: Sequence[Interpreter],
    suite_id: str,
    captures: Captures,
    command: Sequence[str],
) -> Suite:
    """All runs of a request in their order: warm-up rounds, timed rounds with those of the light captures among them,
    then one traced run per model and heavy capture."""
    sets = request.parameter_sets
    return Suite(
        suite_id=suite_id,
        workload=request.workload,
        size=request.size,
        parameters={name: value for name, value in sets[0].items() if all(other[name] == value for other in sets)},
        specs=_number_runs(plan_runs(request, interpreters, suite_id, captures)),
        command=tuple(command),
    )


def plan_experiments(
    name: str,
    requests: Iterable[ResolvedRequest],
    interpreters: Sequence[Interpreter],
    suite_id: str,
    command: Sequence[str],
) -> Suite:
    """The suite of several requests, untraced: first all warm-up runs, then the repeats of all requests in turn."""
    specs = [spec for request in requests for spec in plan_runs(request, interpreters, suite_id, {})]
    specs.sort(key=lambda spec: (not spec.warmup, spec.repeat))
    return Suite(
        suite_id=suite_id, workload=name, size="", specs=_number_runs(specs), command=tuple(command), page=name
    )


def plan_cells(request: ResolvedRequest, interpreters: Sequence[Interpreter]) -> list[PlannedCell]:
    """The cells of the request, controls last; none twice."""
    found = [
        PlannedCell(
            workload=request.workload,
            target=request.target,
            items=request.items,
            model=model,
            workers=workers,
            control=request.workload in CONTROLS,
            parameters=tuple(parameters.items()),
            interpreter=interpreter,
        )
        for interpreter in interpreters
        for model in request.models
        for workers in ((1,) if model == SERIAL else request.workers)
        for parameters in request.parameter_sets
    ]
    if request.controls:
        found += _plan_controls(request, interpreters)
    return list(dict.fromkeys(found))


def add_waits_to_traces(captures: Captures) -> dict[tuple[str, str], str]:
    """The captures with the wait probe beside VizTracer where both work, so that the picture shows who held the GIL.

    These runs give no numbers of waits: those are from runs under the wait probe alone.
    """
    return {
        (f"{WAITS}+{name}" if name == VIZTRACER and (WAITS, label) in captures else name, label): path
        for (name, label), path in captures.items()
    }


def plan_runs(
    request: ResolvedRequest, interpreters: Sequence[Interpreter], suite_id: str, captures: Captures
) -> list[RunSpec]:
    """The runs of a request in their order, without run ids."""
    chosen = plan_cells(request, interpreters)
    most = {cell.model: max(c.workers for c in chosen if c.model == cell.model) for cell in chosen}
    specs = [
        _plan_run(request, suite_id, cell, capture=UNTRACED, repeat=0, warmup=True)
        for _ in range(request.warmup)
        for cell in chosen
    ]
    for repeat in range(1, request.runs + 1):
        shift = (repeat - 1) * max(1, len(chosen) // max(1, request.runs)) % len(chosen)
        for cell in chosen[shift:] + chosen[:shift]:
            allowed = _captures_of(cell, request, most, captures)
            rotation = [UNTRACED, *(capture for capture in allowed if is_light(capture))]
            # Side by side, so that drift hits both; in turns, so that neither is always the one after the other.
            first = (repeat - 1) % len(rotation)
            specs += [
                _plan_run(request, suite_id, cell, capture=capture, repeat=repeat, extra_path=allowed.get(capture, ""))
                for capture in rotation[first:] + rotation[:first]
            ]
    for capture in dict.fromkeys(name for name, _ in captures if not is_light(name)):
        for cell in chosen:
            allowed = _captures_of(cell, request, most, captures)
            if capture in allowed:
                specs.append(_plan_run(request, suite_id, cell, capture=capture, repeat=1, extra_path=allowed[capture]))
    return specs


def safe_name(text: str) -> str:
    """`text` as a part of a folder's name; never empty."""
    return _UNSAFE.sub("-", text).strip("-.")[:_LONGEST_NAME] or "program"


def new_suite_id(name: str, store: Store) -> str:
    """`20261123-143015-matmul`; ids sort by time, and a second suite in the same second gets a number."""
    first = f"{datetime.datetime.now(tz=datetime.UTC):%Y%m%d-%H%M%S}-{name}"
    suite_id, number = first, 2
    while (store.root / suite_id).exists():
        suite_id, number = f"{first}-{number}", number + 1
    return suite_id


def _plan_controls(request: ResolvedRequest, interpreters: Sequence[Interpreter]) -> list[PlannedCell]:
    """spin and sleep, serial and at every worker count above 1, under threads and the cheapest process model: what
    the machine can give. worker-costs at the most workers, under every process model: what these cost."""
    processes = next((method for method in _CONTROL_METHODS if method in request.models), _CONTROL_METHODS[0])
    counts = [count for count in request.workers if count > 1]
    most = max(request.workers)
    cells: list[tuple[str, str, int, tuple[tuple[str, Value], ...]]] = [
        (name, model, workers, ())
        for name in CONTROLS
        for model, workers in [(SERIAL, 1), *((model, count) for model in (THREADS, processes) for count in counts)]
    ]
    # Predictions are made from what threads did.
    if THREADS in request.models and most > 1 and request.workload != WORKER_COSTS:
        cells += [(WORKER_COSTS, method, most, ((_SLEEPERS, most - 1),)) for method in START_METHODS]
    return [
        PlannedCell(
            workload=name,
            target=WORKLOADS.target(name),
            model=model,
            workers=workers,
            control=True,
            parameters=parameters,
            interpreter=interpreter,
        )
        for interpreter in interpreters
        for name, model, workers, parameters in cells
    ]


def _captures_of(
    cell: PlannedCell, request: ResolvedRequest, most: Mapping[str, int], captures: Captures
) -> dict[str, str]:
    """The captures of a cell with their extra paths: only the workload itself at its most workers has any."""
    if cell.workload != request.workload or cell.workers != most[cell.model]:
        return {}
    return {name: path for (name, label), path in captures.items() if label == cell.interpreter.label}


def _plan_run(
    request: ResolvedRequest,
    suite_id: str,
    cell: PlannedCell,
    *,
    capture: str,
    repeat: int,
    warmup: bool = False,
    extra_path: str = "",
) -> RunSpec:
    return RunSpec(
        suite_id=suite_id,
        run_id="",
        workload=cell.workload,
        workload_target=cell.target,
        size=request.size,
        items=cell.items,
        model=cell.model,
        workers=cell.workers,
        parameters=dict(cell.parameters),
        start_method=start_method_of(cell.model),
        capture=capture,
        rate_hz=request.rate_hz,
        trace_entries=request.trace_entries,
        counters=request.counters,
        repeat=repeat,
        warmup=warmup,
        control=cell.control,
        seed=request.seed,
        timeout_s=request.timeout_s,
        python=cell.interpreter.executable,
        python_label=cell.interpreter.label,
        extra_path=extra_path,
    )


def _number_runs(specs: Iterable[RunSpec]) -> tuple[RunSpec, ...]:
    """The specs in this order, each with a run id that says what it is."""
    return tuple(replace(spec, run_id=f"{number:03d}-{_run_name(spec)}") for number, spec in enumerate(specs, start=1))


def _run_name(spec: RunSpec) -> str:
    """A folder name that says what the run is."""
    kind = "warmup" if spec.warmup else f"r{spec.repeat}"
    if spec.capture != UNTRACED:
        kind = f"{spec.capture}-{kind}" if is_light(spec.capture) else spec.capture
    version = spec.python_label.split(" ")[0]
    return f"{safe_name(spec.workload)}-{spec.model}-w{spec.workers}-py{version}-{kind}"
