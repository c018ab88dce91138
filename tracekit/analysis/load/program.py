"""The row of `runs` of a recorded program: its main process, its Python and its wall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.analysis.load.lifetimes import MAIN, ProcessLifetimes
from tracekit.analysis.load.manifest import Manifest
from tracekit.analysis.load.waits.processes import ProbedProcess
from tracekit.bundle import waits_file
from tracekit.bundle.names import PROGRAM

_FREE_THREADED_SINCE = (3, 13)


def measure_program(
    lifetimes: ProcessLifetimes, processes: Sequence[ProbedProcess], manifest: Manifest
) -> dict[str, Any]:
    """Columns of `runs`. The wall is the main process's time from the end of the loader to its exit, or else the time
    that its parent saw.
    """
    start_ns, end_ns = manifest.started_ns, manifest.ended_ns
    main = lifetimes.main
    if main is not None and main.began_ns is not None:
        # The same wall as tracekit.measure.running.program_outcome prints when the program ends.
        exit_ns = main.row.get("exit_ns")
        start_ns, end_ns = main.began_ns, end_ns if exit_ns is None else exit_ns
    wall_ns = None if start_ns is None or end_ns is None else max(0, end_ns - start_ns)
    gil_enabled = _find_gil_state(_find_main(processes))
    return {"kind": PROGRAM, "gil_enabled": gil_enabled, "start_ns": start_ns, "wall_ns": wall_ns}


def find_python(processes: Sequence[ProbedProcess]) -> dict[str, Any]:
    """Version and executable of the recorded program's Python, from the wait probe; empty without one."""
    main = _find_main(processes)
    if main is None or main.file.header.python is None:
        return {}
    version = ".".join(str(part) for part in main.file.header.python)
    return {"version": version, "executable": main.lifetime.row.get("executable")}


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
