"""Suites made of metrics rows, so that a test of the report states the numbers it is about and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.table_factory import ENVIRONMENT, PROCESS_MODELS
from tracekit.analysis.report.ledger import PARTS
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.analysis.tables import COLUMNS, Tables, from_rows

MS = 1_000_000.0
Interval = tuple[float | None, float | None, float | None]
"""value, lower, upper."""


class Suite:
    """Collects cells; `tables()` makes them a Tables as load and metrics would have left it."""

    def __init__(self, workload: str = "matmul", kind: str = "cpu", cpus: int | None = 2) -> None:
        environment = {**ENVIRONMENT, "usable_cpus": cpus, "logical_cpus": cpus}
        self.facts: dict[str, Any] = {
            "suite_id": "20250101-000000-made",
            "workload": workload,
            "size": "default",
            "parameters": "",
            "command": ["tracekit", "run", workload],
            "environments": [environment],
        }
        self.kind = kind
        self.notices: list[dict[str, str]] = []
        self._runs: list[dict[str, Any]] = []
        self._metrics: list[dict[str, Any]] = []

    def cell(
        self,
        model: str,
        workers: int = 2,
        *,
        n: int = 5,
        wall_ms: float = 800.0,
        speedup: Interval | None = None,
        gil_wait_ms: Interval | None = None,
        gil_method: str = "schedstat",
        numbers: Mapping[str, tuple[Interval, str]] | None = None,
        lacks: Mapping[str, str] | None = None,
        failed: int = 0,
        gil_enabled: bool = True,
        method: str = "paired by round",
        **columns: Any,
    ) -> Suite:
        """One cell: `numbers`, (value, lower, upper) and unit by metric, are by `method`; `lacks` are reasons."""
        cell = self._columns(model, workers, columns)
        for repeat in range(1, n + failed + 1):
            ok = repeat <= n
            wall = int((wall_ms + (repeat - (n + 1) / 2)) * MS) if ok else None
            self._run(cell, repeat, wall, "ok" if ok else "failed", gil_enabled)
        if n:
            spread = (wall_ms * 0.98 * MS, wall_ms * 1.02 * MS) if n >= LEAST else (None, None)
            self._number(cell, "wall_ns", (wall_ms * MS, *spread), "ns", n)
        if speedup is not None:
            self._number(cell, "speedup", speedup, "ratio", n)
        if gil_wait_ms is not None:
            ends = tuple(None if end is None else end * MS for end in gil_wait_ms)
            bound = {"quality": "bound", "method": gil_method}
            self._number(cell, "gil_wait_ns", ends, "ns", n, **bound)  # type: ignore[arg-type]
            whole = _thread_time_ms(numbers or {}) or wall_ms * cell["workers"]
            share = tuple(None if end is None else end / whole for end in gil_wait_ms)
            self._number(cell, "gil_wait_share", share, "share", n, **bound)  # type: ignore[arg-type]
        for metric, (interval, unit) in (numbers or {}).items():
            self._number(cell, metric, interval, unit, n, method=method)
        for metric, reason in (lacks or {}).items():
            nothing = {"quality": "unavailable", "method": "", "reason": reason}
            self._number(cell, metric, (None, None, None), "ns", 0, **nothing)
        return self

    def tables(self) -> Tables:
        """What was collected so far."""
        rows: dict[str, Sequence[Mapping[str, Any]]] = {
            "runs": self._runs,
            "metrics": self._metrics,
            "notices": self.notices,
        }
        return Tables(suite=dict(self.facts), **{name: from_rows(name, rows.get(name, ())) for name in COLUMNS})

    def _columns(self, model: str, workers: int, given: Mapping[str, Any]) -> dict[str, Any]:
        defaults = {
            "workload": self.facts["workload"],
            "size": "default",
            "parameters": "",
            "model": model,
            "workers": 1 if model == "serial" else workers,
            "start_method": model if model in PROCESS_MODELS else "",
            "capture": "none",
            "os": "Linux",
            "python": "3.13",
        }
        return {**defaults, **given}

    def _run(self, cell: Mapping[str, Any], repeat: int, wall_ns: int | None, status: str, gil_enabled: bool) -> None:
        own = cell["workload"] == self.facts["workload"]
        self._runs.append(
            {
                "suite_id": self.facts["suite_id"],
                "run_id": f"{len(self._runs):03d}",
                **cell,
                "kind": self.kind,
                "control": not own,
                "repeat": repeat,
                "warmup": False,
                "gil_enabled": gil_enabled,
                "status": status,
                "wall_ns": wall_ns,
            }
        )

    def _number(
        self, cell: Mapping[str, Any], metric: str, interval: Interval, unit: str, n: int, **values: Any
    ) -> None:
        value, lower, upper = interval
        ends = {"value": value, "lower": lower, "upper": upper}
        how = {"method": "paired by round", "quality": "measured", **values}
        fixed = {"suite_id": self.facts["suite_id"], "scope": "cell", "metric": metric, "unit": unit, "n": n}
        self._metrics.append({**cell, **fixed, **ends, **how})


def typical() -> Suite:
    """matmul on 2 CPUs: threads wait for the GIL, processes run nearly twice as fast."""
    suite = Suite()
    parts = {"thread_on_cpu_ns": 790.0, "thread_idle_ns": 10.0}
    start = {"threads": 0.2, "fork": 3.0, "spawn": 90.0}
    suite.cell("serial", speedup=(1.0, 1.0, 1.0), numbers=_parts(parts))
    suite.cell(
        "threads",
        wall_ms=810,
        speedup=(0.99, 0.97, 1.02),
        gil_wait_ms=(800.0, 780.0, 830.0),
        numbers={
            **_parts({"thread_on_cpu_ns": 800.0, "thread_task_blocked_ns": 800.0, "thread_idle_ns": 20.0}),
            **_common(start["threads"], 298.0, 11.0),
        },
    )
    for model, wall, speedup in (("fork", 440.0, (1.82, 1.74, 1.90)), ("spawn", 530.0, (1.51, 1.46, 1.57))):
        suite.cell(
            model,
            wall_ms=wall,
            speedup=speedup,
            gil_wait_ms=(0.0, 0.0, 0.0),
            gil_method="single-thread",
            numbers={
                **_parts({"thread_on_cpu_ns": 800.0, "thread_idle_ns": 80.0}),
                **_common(start[model], 25.0, 0.0),
                "ceiling_share": ((speedup[0] / 1.95, 0.9, 1.0), "share"),
            },
        )
    return suite


def _thread_time_ms(numbers: Mapping[str, tuple[Interval, str]]) -> float:
    return sum(interval[0] or 0.0 for name, (interval, _) in numbers.items() if name in PARTS) / MS


def _parts(milliseconds: Mapping[str, float]) -> dict[str, tuple[Interval, str]]:
    return {name: ((value * MS, value * MS, value * MS), "ns") for name, value in milliseconds.items()}


def _common(start_ms: float, voluntary: float, involuntary: float) -> dict[str, tuple[Interval, str]]:
    return {
        "spawn_first_instruction_ns": ((start_ms * MS, start_ms * 0.9 * MS, start_ms * 1.1 * MS), "ns"),
        "teardown_ns": ((2.0 * MS, 1.0 * MS, 3.0 * MS), "ns"),
        "voluntary_switches_per_s": ((voluntary, voluntary, voluntary), "1/s"),
        "involuntary_switches_per_s": ((involuntary, involuntary, involuntary), "1/s"),
    }
