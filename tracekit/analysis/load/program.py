"""The row of `runs` of a recorded program: its main process, its Python and its wall."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.lifetimes import MAIN, ProcessLifetimes
from tracekit.analysis.load.manifest import Manifest
from tracekit.analysis.load.waits.processes import ProbedProcess
from tracekit.bundle import waits_file
from tracekit.bundle.names import PROGRAM

_FREE_THREADED_SINCE = (3, 13)
_FORK_SERVER_SINCE = 14
_SAID = {"executable": str, "version": str, "build": str, "free_threaded_build": bool}
"""What the manifest has of a Python, and as what type."""


def measure_program(processes: Sequence[ProbedProcess], manifest: Manifest) -> dict[str, Any]:
    """Columns of `runs`. The wall is that of the manifest; in bundles without one, what the parent saw."""
    start_ns, end_ns = manifest.program_window or (manifest.started_ns, manifest.ended_ns)
    wall_ns = None if start_ns is None or end_ns is None else max(0, end_ns - start_ns)
    gil_enabled = _find_gil_state(_find_main(processes))
    asked_ns = Window(manifest.started_ns, manifest.ended_ns).stamp(manifest.asked_ns)
    return {
        "kind": PROGRAM,
        "gil_enabled": gil_enabled,
        "start_ns": start_ns,
        "wall_ns": wall_ns,
        "asked_ns": asked_ns,
    }


def add_steal(columns: Columns, run_id: str, lifetimes: ProcessLifetimes, manifest: Manifest) -> None:
    """Add what the machine had stolen before and after the program, as the counters that a suite's main process reads
    itself; nothing where it was not read."""
    main = lifetimes.main
    readings = [manifest.environment.get(name) for name in ("steal_before_ns", "steal_after_ns")]
    if main is None or not all(type(value) is int for value in readings):
        return
    fixed = {"run_id": run_id, "pid": main.pid, "counter": "steal_ns", "unit": "ns", "scope": "machine"}
    for at, ts_ns, value in zip(("start", "end"), (manifest.started_ns, manifest.ended_ns), readings, strict=True):
        columns.add("counters", **fixed, source="/proc/stat", at=at, ts_ns=ts_ns, value=float(value or 0))


def find_python(processes: Sequence[ProbedProcess], manifest: Manifest) -> dict[str, Any]:
    """The recorded program's Python: what the wait probe saw, and of the one that the command names what it said of
    itself before. Empty where neither knows one."""
    named = manifest.environment.get("interpreter")
    said = named.items() if isinstance(named, dict) else ()
    known: dict[str, Any] = {name: value for name, value in said if isinstance(value, _SAID.get(name, ()))}
    main = _find_main(processes)
    if main is not None and main.file.header.python is not None:
        header = main.file.header
        # A command may name another Python than the one that runs in the end.
        known = known if known.get("version") == header.version else {}
        known |= {"version": header.version, "executable": main.lifetime.row.get("executable")}
        if header.switch_interval_ns is not None:
            known["switch_interval_seen_s"] = header.switch_interval_ns / 1e9
    if not known:
        return {}
    enabled = _find_gil_state(main)
    if enabled is None and known.get("free_threaded_build") is False:
        enabled = True
    return {"implementation": "CPython", **known, "gil_enabled": enabled, **_find_start_method(known, manifest)}


def _find_start_method(known: dict[str, Any], manifest: Manifest) -> dict[str, str]:
    """That of multiprocessing unless the program chooses one; Lib/multiprocessing/context.py has it."""
    numbers = re.match(r"3\.(\d+)", str(known.get("version")))
    if manifest.system != "Linux" or numbers is None:
        return {}
    return {"start_method_default": "forkserver" if int(numbers[1]) >= _FORK_SERVER_SINCE else "fork"}


def _find_main(processes: Sequence[ProbedProcess]) -> ProbedProcess | None:
    return next((process for process in processes if process.lifetime.row.get("role") == MAIN), None)


def _find_gil_state(main: ProbedProcess | None) -> bool | None:
    """Whether the GIL was enabled. From 3.13 on that is known only if a thread waited for it."""
    if main is None or main.file.header.python is None:
        return None
    if main.file.header.python < _FREE_THREADED_SINCE:
        return True
    kinds = (waits_file.GIL_TAKE, waits_file.GIL_DROP, *(n for n, kind in waits_file.WAITS.items() if kind == "gil"))
    return True if np.isin(main.file.slots["kind"], kinds).any() else None
