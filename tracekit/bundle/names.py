"""The names in a bundle that both wings must agree on: captures, models and the controls of a suite.

A capture's weight is here as well: it decides how often the measuring wing makes its runs, and which tables the
analysis lets them into.
"""

from __future__ import annotations

UNTRACED = "none"
WAITS, STAGES, KERNEL, VIZTRACER, PY_SPY = "waits", "stages", "kernel", "viztracer", "py-spy"

SEE_WAITS = frozenset({WAITS, KERNEL})
"""The captures that record what threads wait for."""

LIGHT = frozenset({WAITS, KERNEL, STAGES})
"""The captures that disturb so little that their probe effect is a ratio with an interval: their runs are as many as
the untraced ones and interleaved with them, and their cells stand beside the untraced ones in tables. Under the others
there is one run per model, at the end, for a picture."""


def split_capture(capture: str) -> frozenset[str]:
    """The captures in a combination such as `waits+kernel`; empty for `none`."""
    return frozenset(capture.split("+")) - {UNTRACED}


def is_light(capture: str) -> bool:
    """Whether a run is traced, and by light captures only."""
    parts = split_capture(capture)
    return bool(parts) and parts <= LIGHT


SERIAL, THREADS = "serial", "threads"
START_METHODS = ("fork", "spawn", "forkserver")
"""multiprocessing's start methods, and the models that use them through an executor."""

EXECUTORS = (SERIAL, THREADS, *START_METHODS)
"""The models that are compared by default: how most programs use threads and processes."""

RAW = "raw-"
"""The prefix of the models that use threads and processes without an executor."""

PROGRAM = "program"
"""The model, and the kind, of a program that `tracekit record` ran."""


def start_method_of(model: str) -> str:
    """The start method that a model gives multiprocessing; empty for models that start no process."""
    method = model.removeprefix(RAW)
    return method if method in START_METHODS else ""


COMPUTING, WAITING = "spin", "sleep"
CONTROLS = (COMPUTING, WAITING)
"""The control workloads: what the CPUs can give, and waiting that needs neither CPU nor GIL."""

WORKER_COSTS = "worker-costs"
"""The control workload that measures what worker processes cost."""
