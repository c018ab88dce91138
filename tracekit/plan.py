"""From a question to the list of runs that answers it: which cells, how often, in which order.

The order matters as much as the cells: the same binary measured as AAAA BBBB against itself showed a false 16 %
difference on a machine that drifted, and 0.5 % when interleaved. So every round runs every cell once, and each round
starts at another cell.
"""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tracekit.bundle import Store
from tracekit.capture import CAPTURES
from tracekit.counters import COUNTERS
from tracekit.errors import UsageError
from tracekit.interpreters import Interpreter
from tracekit.models import MODELS, START_METHODS
from tracekit.registry import Registry
from tracekit.spec import RunSpec, Suite
from tracekit.workload import SIZES

if TYPE_CHECKING:
    from tracekit.workload import Value, Workload

MAX_WORKERS = 1024
"""More is a typing error: each worker is a process or thread that exists at the same time."""

MAX_TIMEOUT_S = 1e6
"""Eleven days; the system's own timers take little more."""

CONTROLS = ("spin", "sleep")

LIGHT = frozenset({"waits", "kernel"})
"""Captures that disturb so little that their effect is a ratio with an interval: they run as often as the untraced runs
and among them. The others run once, at the end, for their pictures."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 60

WORKLOADS = Registry(
    "workload",
    {
        "spin": ("workloads.spin:WORKLOAD", "control: pure Python counting, shows what the CPUs can give"),
        "sleep": ("workloads.sleep:WORKLOAD", "control: pure waiting, needs neither CPU nor GIL"),
        "matmul": ("workloads.matmul:WORKLOAD", "matrix product in pure Python: holds the GIL all the time"),
        "nbody": ("workloads.nbody:WORKLOAD", "planets in pure Python, many small calls: holds the GIL all the time"),
        "json": ("workloads.json_documents:WORKLOAD", "JSON written and read: C code that keeps the GIL"),
        "primes": (
            "workloads.primes:WORKLOAD",
            "counting primes in pure Python, tasks of unequal length: holds the GIL all the time",
        ),
        "hashing": ("workloads.hashing:WORKLOAD", "SHA-256 of large buffers: C code that releases the GIL"),
        "compress": ("workloads.compress:WORKLOAD", "data packed with zlib: C code that releases the GIL"),
        "matmul-numpy": (
            "workloads.matmul_numpy:WORKLOAD",
            "matrix products in NumPy: releases the GIL, and BLAS has threads of its own",
        ),
        "files": ("workloads.files:WORKLOAD", "files written, brought to the disk and read back: waits for the disk"),
        "sockets": (
            "workloads.sockets:WORKLOAD",
            "requests to a web server that takes its time: waits for the network",
        ),
        "mixed": ("workloads.mixed:WORKLOAD", "waiting for a socket, then computing: some of each"),
        "tiny-tasks": (
            "workloads.tiny_tasks:WORKLOAD",
            "thousands of tasks that do nothing: the cost of handing them out",
        ),
        "skewed-tasks": (
            "workloads.skewed_tasks:WORKLOAD",
            "long and short tasks in chunks: one worker is overloaded while others idle",
        ),
        "big-results": (
            "workloads.big_results:WORKLOAD",
            "tasks that return megabytes: what pickling and pipes cost",
        ),
        "loop-lag": (
            "workloads.loop_lag:WORKLOAD",
            "a heartbeat beside threads that compute: how late an event loop comes to run",
        ),
        "shared-state": (
            "workloads.shared_state:WORKLOAD",
            "who sees what another one writes: threads, processes, shared memory",
        ),
        "race": (
            "workloads.race:WORKLOAD",
            "threads count up one number without a lock: how many counts are lost",
        ),
        "memory-per-worker": (
            "workloads.memory_per_worker:WORKLOAD",
            "the same data in every worker: what one more costs in memory",
        ),
        "crash": (
            "workloads.crash:WORKLOAD",
            "one worker fails, in every way and under every kind: what becomes of the others",
        ),
        "start-stop": ("workloads.start_stop:WORKLOAD", "nothing but starting workers and stopping them"),
        "import-heavy": (
            "workloads.import_heavy:WORKLOAD",
            "workers whose module imports much: what that adds to their start",
        ),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asked for. Everything is checked by `plan`, not here."""

    workload: str
    models: tuple[str, ...]
    workers: tuple[int, ...]
    size: str = "default"
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """Of the workload, as text or as they are; the others have their defaults."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination that is measured: its runs may be pooled."""

    workload: str
    model: str
    workers: int
    control: bool
    interpreter: Interpreter = field(repr=False)


def default_captures() -> tuple[str, ...]:
    """What is tried where nothing else is asked for; the wait probe is made for Linux."""
    return ("waits", "viztracer", "py-spy") if sys.platform == "linux" else ("viztracer", "py-spy")


def is_light(capture: str) -> bool:
    """Whether the capture, or every one of a combination such as `waits+kernel`, is light."""
    return all(part in LIGHT for part in capture.split("+"))


def default_workers(usable_cpus: int) -> tuple[int, ...]:
    """1, 2, 4 ... up to the usable CPUs, these included, and at least 1 and 2."""
    counts = {1, 2, usable_cpus}
    power = 4
    while power < usable_cpus:
        counts.add(power)
        power *= 2
    return tuple(sorted(counts))


def cells(request: Request, interpreters: list[Interpreter]) -> list[Cell]:
    """The cells of the request, controls last. Raises UsageError when the request cannot be meant."""
    check(request)
    found: list[Cell] = []
    for interpreter in interpreters:
        for model in request.models:
            counts = (1,) if model == "serial" else request.workers
            found += [_cell(request.workload, model, count, interpreter) for count in counts]
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
    values = parameters_of(request)
    most = {cell.model: max(c.workers for c in chosen if c.model == cell.model) for cell in chosen}
    specs = [
        _spec(request, suite_id, cell, capture="none", repeat=0, warmup=True)
        for _ in range(request.warmup)
        for cell in chosen
    ]
    for repeat in range(1, request.runs + 1):
        shift = (repeat - 1) * max(1, len(chosen) // max(1, request.runs)) % len(chosen)
        for cell in chosen[shift:] + chosen[:shift]:
            watched = _watched(cell, request, most, captures)
            ways = ["none", *(capture for capture in watched if is_light(capture))]
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
    numbered = renumbered(
        [replace(spec, parameters=values if spec.workload == request.workload else {}) for spec in specs]
    )
    return Suite(
        suite_id=suite_id,
        workload=request.workload,
        size=request.size,
        parameters=values,
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


def check(request: Request) -> None:
    """Raise UsageError when the request cannot be meant."""
    parameters_of(request)
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


def usual(workload: str) -> Mapping[str, Any]:
    """How that workload is run where nobody says otherwise, by the names of Request; empty where it is as usual."""
    found: Workload | None = WORKLOADS.load(workload) if workload in WORKLOADS else None
    return found.usual if found is not None else {}


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


def _controls(request: Request, interpreters: list[Interpreter]) -> list[Cell]:
    """spin and sleep, serial and at every worker count above 1, under threads and the cheapest process model."""
    processes = next((m for m in ("fork", "forkserver", "spawn") if m in request.models), "fork")
    counts = [count for count in request.workers if count > 1]
    found = []
    for interpreter in interpreters:
        for name in CONTROLS:
            found.append(_cell(name, "serial", 1, interpreter))
            for model in ("threads", processes):
                found += [_cell(name, model, count, interpreter) for count in counts]
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
        start_method=START_METHODS.get(cell.model, ""),
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
    if spec.capture != "none":
        way = f"{spec.capture}-{way}" if is_light(spec.capture) else spec.capture
    version = spec.python_label.split(" ")[0]
    return f"{safe_name(spec.workload)}-{spec.model}-w{spec.workers}-py{version}-{way}"
