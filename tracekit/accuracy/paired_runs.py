"""Pairs of runs of the same work, one with a capture and one without.

The two runs alternate on the machine every few milliseconds (interleaving.py). Where the capture would also slow down
the run without it, one follows the other, in an order that changes from pair to pair (A B, B A).
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tracekit
from tracekit.accuracy.interleaving import Interleaver, Started, interleave
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells import cpu
from tracekit.analysis.tables import records
from tracekit.bundle.names import start_method_of
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import SuiteFolder
from tracekit.core.errors import MeasurementError
from tracekit.measure.process.launch import link_packages
from tracekit.measure.process.watchdog import Watchdog, start_watchdog
from tracekit.measure.running.suite_runner import run_one
from tracekit.system import machine
from tracekit.system.interpreters import Interpreter

WITHOUT, WITH = 0, 1
"""The sides of a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedWork:
    """A workload, its target (`module:attribute`), and the model that it runs under.

    one_cpu   both sides of a pair use the same CPU, which changes from pair to pair: two CPUs are seldom equally fast
    """

    name: str
    target: str
    model: str
    one_cpu: bool

    @property
    def workers(self) -> int:
        return 1 if self.model == "serial" else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """The wall and the CPU time of one run, ns; the wall counts its own slices only."""

    wall_ns: float
    cpu_ns: float


def make_pairs(
    work: PairedWork,
    interpreter: Interpreter,
    *,
    capture: str,
    extra_path: str,
    pairs: int,
    size: str,
    at_once: bool,
    folder: Path,
) -> list[tuple[RunCost, RunCost]]:
    """Run pairs and return (with, without) of each; a first pair warms up. Raises MeasurementError and RunFailed."""

    def spec(number: int, side: int) -> RunSpec:
        return RunSpec(
            suite_id="pairs",
            run_id=f"{number:04d}-{side}",
            workload=work.name,
            workload_target=work.target,
            size=size,
            model=work.model,
            workers=work.workers,
            start_method=start_method_of(work.model),
            capture=capture if side == WITH else "none",
            repeat=number,
            warmup=False,
            python=interpreter.executable,
            python_label=interpreter.label,
            extra_path=extra_path if side == WITH else "",
        )

    specs = [(spec(number, WITHOUT), spec(number, WITH)) for number in range(pairs + 1)]
    suite = SuiteFolder(folder / "pairs")
    suite.create(Suite(suite_id="pairs", workload=work.name, size=size, specs=tuple(itertools.chain(*specs))))
    package = Path(tracekit.__file__).resolve().parent
    imports = suite.imports
    link_packages(imports, {name: package.parent / name for name in ("tracekit", "workloads")})
    cpus = sorted(os.sched_getaffinity(0))
    interleavers: list[Interleaver | None] = []
    with start_watchdog() as one, start_watchdog() as other:
        runner = _Runner(suite, imports, machine.describe(), (one, other))
        for number, pair in enumerate(specs):
            first = number % 2
            if at_once:
                cpu_of_both = cpus[number // 2 % len(cpus)] if work.one_cpu else None
                interleavers.append(runner.at_once(pair, first, cpu_of_both))
            else:
                runner.one_by_one(pair, first)
                interleavers.append(None)
    suite.finish("ok", [])
    costs = _costs(suite, interleavers)
    return [(costs[with_.run_id], costs[without.run_id]) for without, with_ in specs[1:]]


class _Runner:
    """Runs the pairs of one suite. Each side has a watchdog, which has one process at a time."""

    def __init__(
        self, suite: SuiteFolder, imports: Path, facts: dict[str, Any], watchdogs: tuple[Watchdog, Watchdog]
    ) -> None:
        self._suite = suite
        self._imports = imports
        self._facts = facts
        self._watchdogs = watchdogs

    def at_once(self, pair: tuple[RunSpec, RunSpec], first: int, cpu: int | None) -> Interleaver:
        without, with_ = (partial(self._run, pair[side], self._watchdogs[side]) for side in (WITHOUT, WITH))
        _, interleaver = interleave([without, with_], first=first, cpu=cpu)
        return interleaver

    def one_by_one(self, pair: tuple[RunSpec, RunSpec], first: int) -> None:
        for side in (first, 1 - first):
            self._run(pair[side], self._watchdogs[side], lambda leader: None)

    def _run(self, spec: RunSpec, watchdog: Watchdog, started: Started) -> None:
        outcome = run_one(spec, self._suite.bundle(spec.run_id), self._imports, self._facts, watchdog, started)
        if outcome.status != "ok":
            raise MeasurementError(
                f"{spec.workload} under {spec.capture} {outcome.reason}",
                f"tracekit run {spec.workload} --models {spec.model} --capture {spec.capture}",
            )


def _costs(suite: SuiteFolder, interleavers: list[Interleaver | None]) -> dict[str, RunCost]:
    tables = load_suite(suite)
    times = cpu.compute(Analysis(tables))
    cpus = {row["run_id"]: row["value"] for row in records(times[times["scope"] == "run"])}
    costs = {}
    for run in records(tables.runs):
        interleaver, side = interleavers[run["repeat"]], WITHOUT if run["capture"] == "none" else WITH
        start_ns, wall_ns = run["start_ns"], run["wall_ns"]
        wall = wall_ns if interleaver is None else interleaver.own_ns(side, start_ns, start_ns + wall_ns)
        cpu_ns = cpus.get(run["run_id"])
        if cpu_ns is None:
            raise MeasurementError(f"the CPU time of {run['workload']} was not read", "tracekit doctor")
        costs[run["run_id"]] = RunCost(wall_ns=float(wall), cpu_ns=float(cpu_ns))
    return costs
