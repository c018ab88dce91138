"""Bundles made by hand on disk, whole or broken in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.table_factory import BOOT_NS, ENVIRONMENT, MS
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Bundle, SuiteFolder

MAIN, WORKER = 100, 200
PYTHON = ENVIRONMENT["python"]

Record = dict[str, Any]


def spec(run_id: str = "001-matmul-fork", **values: Any) -> RunSpec:
    defaults = {"model": "fork", "start_method": "fork", "workers": 1, "python_label": "3.13"}
    fixed = {"suite_id": "s1", "workload": "matmul", "workload_target": "workloads.matmul:WORKLOAD", "size": "small"}
    return RunSpec(run_id=run_id, **{**fixed, **defaults, **values})


def main_stream() -> list[Record]:
    """The main process: 100 ms of run, the last 10 of them shutdown."""
    return [
        {"kind": "meta", "format": 1, "pid": MAIN, "ppid": 1, "tid": MAIN, "role": "main", "python": PYTHON},
        *both_readings("cpu_ns", 5 * MS, 9 * MS, 100),
        {"kind": "span", "tid": MAIN, "name": "shutdown", "start_ns": BOOT_NS + 90 * MS, "dur_ns": 10 * MS},
        {"kind": "span", "tid": MAIN, "name": "run", "start_ns": BOOT_NS, "dur_ns": 100 * MS},
        {"kind": "thread", "tid": MAIN, "name": "MainThread", "role": "main", "start_ns": BOOT_NS,
         "end_ns": BOOT_NS + 100 * MS},
        {"kind": "result", "checksum": "c0ffee", "items": 1, "workload_kind": "cpu"},
        {"kind": "gil", "enabled": True, "module": None},
    ]  # fmt: skip


def worker_stream() -> list[Record]:
    """One worker: asked for at 1 ms, ready at 4 ms, one task from 5 to 85 ms."""
    return [
        {"kind": "meta", "format": 1, "pid": WORKER, "ppid": MAIN, "tid": WORKER, "role": "worker", "worker": 0,
         "spawn_requested_ns": BOOT_NS + 1 * MS, "interpreter_ready_ns": BOOT_NS + 4 * MS, "start_ticks": 7},
        *both_readings("cpu_ns", 1 * MS, 81 * MS, 90),
        {"kind": "span", "tid": WORKER, "name": "task", "item": 0, "start_ns": BOOT_NS + 5 * MS, "dur_ns": 80 * MS,
         "cpu_ns": 79 * MS, "voluntary_switches": 1, "involuntary_switches": 2},
    ]  # fmt: skip


def both_readings(counter: str, start: float, end: float, at_ms: int) -> list[Record]:
    fixed = {"kind": "counter", "tid": None, "counter": counter, "unit": "ns", "scope": "process", "source": "linux"}
    return [
        {**fixed, "value": start, "ts_ns": BOOT_NS, "at": "start"},
        {**fixed, "value": end, "ts_ns": BOOT_NS + at_ms * MS, "at": "end"},
    ]


def lines(records: Sequence[Record], *, end: bool = True) -> bytes:
    """The stream's bytes, closed by an end record unless told otherwise."""
    closing = [{"kind": "end", "count": len(records), "exit_ns": BOOT_NS + 101 * MS, "exit_code": 0}] if end else []
    return b"".join(json.dumps(record).encode() + b"\n" for record in [*records, *closing])


def make_bundle(
    root: Path,
    run: RunSpec,
    *,
    streams: Mapping[str, bytes] | None = None,
    raw: Mapping[str, bytes] | None = None,
    waits: Mapping[str, bytes] | None = None,
    sealed: bool = True,
    **manifest: Any,
) -> Bundle:
    """A bundle below `root`; `streams`, `raw` and `waits` are files by name."""
    bundle = Bundle(root / run.run_id)
    bundle.create(run)
    if streams is None:
        streams = {f"{MAIN}.jsonl": lines(main_stream()), f"{WORKER}.jsonl": lines(worker_stream())}
    for name, data in streams.items():
        (bundle.streams / name).write_bytes(data)
    for name, data in (raw or {}).items():
        (bundle.raw / name).write_bytes(data)
    if waits is not None:
        bundle.waits.mkdir()
        for name, data in waits.items():
            (bundle.waits / name).write_bytes(data)
    if sealed:
        told = {
            "status": "ok",
            "exit_code": 0,
            "reason": None,
            "started_ns": BOOT_NS - 50 * MS,
            "ended_ns": BOOT_NS + 150 * MS,
            "environment": {key: ENVIRONMENT[key] for key in ENVIRONMENT if not key.startswith("python")},
            "notices": [],
        }
        bundle.seal({**told, **manifest})
    return bundle


def make_suite(root: Path, *specs: RunSpec) -> SuiteFolder:
    """The suite's folder and its suite.json, without any bundle yet."""
    folder = SuiteFolder(root / "s1")
    folder.create(Suite(suite_id="s1", workload="matmul", size="small", specs=specs, command=("tracekit", "run")))
    return folder
