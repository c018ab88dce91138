"""From a question to the list of runs that answers it: which cells, how often, in which order.

The order matters as much as the cells: the same binary measured as AAAA BBBB against itself showed a false 16 %
difference on a machine that drifted, and 0.5 % when interleaved. So every round runs every cell once, and each round
starts at another cell.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tracekit.bundle.names import (
    CONTROLS,
    SERIAL,
    START_METHODS,
    THREADS,
    UNTRACED,
    WORKER_COSTS,
    is_light,
    start_method_of,
)
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Store
from tracekit.measure.planning.request import Request, check, variants_of
from tracekit.measure.planning.workload_registry import SLEEPERS, WORKLOADS
from tracekit.system.interpreters import Interpreter

if TYPE_CHECKING:
    from tracekit.workload import Value

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination that is measured: its runs may be pooled."""

    workload: str
    model: str
    workers: int
    control: bool
    parameters: tuple[tuple[str, Value], ...] = ()
    interpreter: Interpreter = field(repr=False)


def cells(request: Request, interpreters: list[Interpreter]) -> list[Cell]:
    """The cells of the request, controls last. Raises UsageError when the request cannot be meant."""
    check(request)
    found: list[Cell] = []
    for interpreter in interpreters:
        for model in request.models:
            counts = (1,) if model == SERIAL else request.workers
            found += [
                replace(_cell(request.workload, model, count, interpreter), parameters=tuple(parameters.items()))
                for count in counts
                for parameters in variants_of(request)
            ]
    if request.controls:
        found += _controls(request, interpreters)
    return list(dict.fromkeys(found))


def plan(
    request: Request,
    interpreters: list[Interpreter],
    suite_id: str,
    captures: dict[tuple[str, str], str],
    command: tuple[str, ...],
) -> Suite:
    """All runs in order: warm-up rounds, timed rounds with those of the light captures among them, then one traced run
    per model and heavy capture.

    `captures` holds what the preflights allowed: (capture, interpreter label) -> extra path.
    """
    chosen = cells(request, interpreters)
    sets = variants_of(request)
    common = {name: value for name, value in sets[0].items() if all(other[name] == value for other in sets)}
    most = {cell.model: max(c.workers for c in chosen if c.model == cell.model) for cell in chosen}
    specs = [
        _spec(request, suite_id, cell, capture=UNTRACED, repeat=0, warmup=True)
        for _ in range(request.warmup)
        for cell in chosen
    ]
    for repeat in range(1, request.runs + 1):
        shift = (repeat - 1) * max(1, len(chosen) // max(1, request.runs)) % len(chosen)
        for cell in chosen[shift:] + chosen[:shift]:
            watched = _watched(cell, request, most, captures)
            ways = [UNTRACED, *(capture for capture in watched if is_light(capture))]
            # Side by side, so that drift hits both; in turns, so that neither is always the one after the other.
            turn = (repeat - 1) % len(ways)
            specs += [
                _spec(request, suite_id, cell, capture=way, repeat=repeat, extra_path=watched.get(way, ""))
                for way in ways[turn:] + ways[:turn]
            ]
    for capture in dict.fromkeys(name for name, _ in captures if not is_light(name)):
        for cell in chosen:
            watched = _watched(cell, request, most, captures)
            if capture in watched:
                specs.append(_spec(request, suite_id, cell, capture=capture, repeat=1, extra_path=watched[capture]))
    numbered = renumbered(specs)
    return Suite(
        suite_id=suite_id,
        workload=request.workload,
        size=request.size,
        parameters=common,
        specs=numbered,
        command=command,
    )


def renumbered(specs: Sequence[RunSpec]) -> tuple[RunSpec, ...]:
    """The specs in this order, each with a run id that says what it is."""
    return tuple(replace(spec, run_id=f"{number:03d}-{_run_name(spec)}") for number, spec in enumerate(specs, start=1))


def _watched(
    cell: Cell, request: Request, most: dict[str, int], captures: dict[tuple[str, str], str]
) -> dict[str, str]:
    """The captures of a cell with their extra paths: only the workload itself at its most workers has any."""
    if cell.workload != request.workload or cell.workers != most[cell.model]:
        return {}
    return {name: path for (name, label), path in captures.items() if label == cell.interpreter.label}


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


def _controls(request: Request, interpreters: list[Interpreter]) -> list[Cell]:
    """spin and sleep, serial and at every worker count above 1, under threads and the cheapest process model: what
    the machine can give. worker-costs at the most workers, under every process model: what these cost."""
    processes = next((method for method in ("fork", "forkserver", "spawn") if method in request.models), "fork")
    counts = [count for count in request.workers if count > 1]
    found = []
    for interpreter in interpreters:
        for name in CONTROLS:
            found.append(_cell(name, SERIAL, 1, interpreter))
            for model in (THREADS, processes):
                found += [_cell(name, model, count, interpreter) for count in counts]
        most = max(request.workers)
        # What threads did is what predictions are made from.
        if THREADS in request.models and most > 1 and request.workload != WORKER_COSTS:
            parameters = ((SLEEPERS, most - 1),)
            found += [
                replace(_cell(WORKER_COSTS, model, most, interpreter), control=True, parameters=parameters)
                for model in START_METHODS
            ]
    return found


def _cell(workload: str, model: str, workers: int, interpreter: Interpreter) -> Cell:
    return Cell(
        workload=workload,
        model=model,
        workers=workers,
        control=workload in CONTROLS,
        interpreter=interpreter,
    )


def _spec(
    request: Request,
    suite_id: str,
    cell: Cell,
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
        workload_target=WORKLOADS.target(cell.workload),
        size=request.size,
        items="" if cell.workload in WORKLOADS else request.items,
        model=cell.model,
        workers=cell.workers,
        parameters=dict(cell.parameters),
        start_method=start_method_of(cell.model),
        capture=capture,
        rate_hz=request.rate_hz,
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


def _run_name(spec: RunSpec) -> str:
    """A folder name that says what the run is."""
    way = "warmup" if spec.warmup else f"r{spec.repeat}"
    if spec.capture != UNTRACED:
        way = f"{spec.capture}-{way}" if is_light(spec.capture) else spec.capture
    version = spec.python_label.split(" ")[0]
    return f"{safe_name(spec.workload)}-{spec.model}-w{spec.workers}-py{version}-{way}"
