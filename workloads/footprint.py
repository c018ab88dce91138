"""footprint: memory, descriptors, threads and processes of each further worker, and how many workers there can be.

Shows: the memory (PSS, USS, RSS), descriptors, threads and processes of a worker when it has started, after some work,
after a garbage collection, and after it has read the data that the program made before it started workers. From these
and from the system's limits: how many workers there can be. And the error that a program gets when it reaches a limit,
which it lowers for itself first. Every case is a program of its own, footprint_subject.py.
Claim: threads share memory, processes have their own; a forked process shares its parent's until one of them writes.
A good answer: a thread costs some 10 KiB, a forked process 2 MiB and a spawned one 8 to 10 MiB. A garbage collection in
a forked worker copies all objects of the parent, which gc.freeze prevents; reading them copies them anyway, since it
changes their reference counts.
Depends on: /proc/<pid>/smaps_rollup, which Linux has, and the limits of the user who runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tracekit.workload import Observable, Observation, Parameter, Workload
from workloads import footprint_subject, process_group

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned worker would pay
if TYPE_CHECKING:
    from typing import Any

    Item = tuple[str, str, dict[str, Any]]
    Result = tuple[str, list[Observation]]

START_METHODS = {
    "threads": ("threads", False),
    "fork": ("fork", False),
    "fork-frozen": ("fork", True),
    "forkserver": ("forkserver", False),
    "spawn": ("spawn", False),
}
"""Start method as it is reported -> start method of the subject, and whether it calls gc.freeze() before."""
EXHAUSTED = (
    ("threads", "address-space"),
    ("threads", "tasks"),
    ("fork", "tasks"),
    ("fork", "descriptors"),
)
"""(start method, limit that the subject lowers)."""
MOST_WORKERS = 32

_LIMIT_S = 150.0
_OWN = ("uss_bytes", "rss_bytes")
"""Of the worker processes alone: a sum over the program too would change with every page that it shares."""
_COUNTS = ("fds", "parent_fds", "tasks", "processes")
_PHASES = ("up", "worked", "collected", "touched")
LIMITS = {
    "nofile": "parent_fds",
    "nproc": "tasks",
    "pids": "tasks",
    "machine": "tasks",
    "memory": "pss_bytes",
    "available": "pss_bytes",
}
"""Limit -> the figure of a worker that counts against it."""


def make_items(workers: int, seed: int, *, data_mb: int, work_mb: int) -> list[Item]:
    """(command of the subject, start method, its options); the seed changes nothing."""
    sizes = {"workers": workers, "data_bytes": data_mb << 20, "work_bytes": work_mb << 20}
    measured: list[Item] = [
        ("measure", name, {**sizes, "freeze": freeze}) for name, (_, freeze) in START_METHODS.items()
    ]
    return [*measured, *(("exhaust", start_method, {"limit": limit}) for start_method, limit in EXHAUSTED)]


def task(item: Item) -> Result:
    """Run one subject. Returns its name and its observations; raises RuntimeError when it fails."""
    command, start_method, options = item
    if not os.path.exists("/proc/self/smaps_rollup"):  # noqa: PTH110 - pathlib is not needed for anything else here
        raise RuntimeError("memory is read from /proc/<pid>/smaps_rollup, which this system does not have")
    if command == "exhaust":
        found = _run_subject(command, start_method, options)
        return f"exhaustion.{start_method}.{options['limit']}", _exhaustion(start_method, options["limit"], found)
    found = _run_subject(command, START_METHODS[start_method][0], options)
    return start_method, _footprint(start_method, found["phases"], found["limits"])


def _run_subject(command: str, start_method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that the subject prints. A subject that takes too long is ended with all its processes."""
    words = [sys.executable, footprint_subject.__file__, command, start_method, json.dumps(options)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as subject:
        try:
            out, err = subject.communicate(timeout=_LIMIT_S)
        finally:
            # It may not have made its own process group yet.
            subject.kill()
            process_group.end(subject.pid)
    if subject.returncode != 0:
        told = err.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{command} {start_method}: exit code {subject.returncode}: {told}")
    found: dict[str, Any] = json.loads(out)
    return found


def _footprint(start_method: str, phases: Sequence[Mapping[str, Any]], limits: Mapping[str, int]) -> list[Observation]:
    """What one more worker costs in each phase, and how many workers the limits allow."""
    alone, *up = [phase for phase in phases if phase["phase"] in ("alone", "up")]
    later = {phase["phase"]: phase for phase in phases if phase["phase"] in _PHASES[1:]}
    first, last, workers = up[0], up[-1], len(up)
    found: list[Observation] = []

    def add(what: str, value: float, **dimensions: Any) -> float:
        found.append(Observation(what, value, start_method=start_method, **dimensions))
        return value

    each, once = {}, {}
    for what in ("pss_bytes", *_COUNTS):
        # The first worker brings what any number of them needs once, such as the fork server.
        each[what] = add(what, (last[what] - first[what]) / (workers - 1), phase="up")
        once[what] = add(what, first[what] - alone[what], phase="first")
    most = dict(each)
    for name, phase in later.items():
        held = add("pss_bytes", each["pss_bytes"] + (phase["pss_bytes"] - last["pss_bytes"]) / workers, phase=name)
        most["pss_bytes"] = max(most["pss_bytes"], held)
    for name, phase in {"up": last, **later}.items():
        for what in _OWN:
            # Of a thread it is what the program has more of than without any.
            held = phase[f"workers_{what}"] if each["processes"] else phase[what] - alone[what]
            add(what, held / workers, phase=name)
    for count, phase in enumerate(up, start=1):
        add("pss_bytes", phase["pss_bytes"] - alone["pss_bytes"], phase="total", size=count)
    for limit, what in LIMITS.items():
        left = limits.get(f"{limit}_left")
        if left is not None and most[what] > 0:
            add("workers_possible", max(0, 1 + (left - once[what]) // most[what]), case=limit)
    return found


def _exhaustion(start_method: str, limit: str, found: Mapping[str, Any]) -> list[Observation]:
    """How many workers there were when the limit was reached, and the error; or why the limit could not be lowered."""
    place: dict[str, Any] = {"start_method": start_method, "phase": "exhausted", "case": limit}
    if "skipped" in found:
        return [Observation("skipped", text=found["skipped"], **place)]
    started = Observation("started", found["started"], **place)
    if not found["type"]:
        return [started]
    return [started, Observation("error", text=f"{found['type']}: {found['message']}", **place)]


def combine(results: Sequence[Result]) -> str:
    """The names of the cases; their figures are the observations."""
    return ",".join(name for name, _ in results)


def observe(results: Sequence[Result]) -> list[Observation]:
    """Every observation of every subject."""
    return [item for _, observations in results for item in observations]


_OF_PHASE = ("start_method", "phase")
_OF_LIMIT = ("start_method", "phase", "case")

WORKLOAD = Workload(
    name="footprint",
    summary="memory, descriptors and threads of each further worker, and how many workers there can be",
    kind="memory",
    sizes={"smoke": 2, "small": 4, "default": 8, "large": MOST_WORKERS},
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observables=(
        Observable(
            "pss_bytes",
            "bytes",
            "memory of the program and all workers, shared pages divided by their users: of a further worker (`up`), "
            "of the first one (`first`), of all of them (`total`)",
            (*_OF_PHASE, "size"),
        ),
        Observable(
            "uss_bytes", "bytes", "memory of a worker process alone; of a thread, the program's growth", _OF_PHASE
        ),
        Observable("rss_bytes", "bytes", "memory in RAM of a worker process, shared pages in full", _OF_PHASE),
        Observable("fds", "count", "open descriptors of the program and all workers", _OF_PHASE),
        Observable("parent_fds", "count", "open descriptors of the program alone", _OF_PHASE),
        Observable("tasks", "count", "threads of the program and all workers", _OF_PHASE),
        Observable("processes", "count", "processes, multiprocessing's helpers included", _OF_PHASE),
        Observable("workers_possible", "count", "workers that the limit `case` allows", ("start_method", "case")),
        Observable("started", "count", "workers when no more could be started", _OF_LIMIT),
        Observable("error", "", "the error that the program got then", _OF_LIMIT),
        Observable("skipped", "", "why the limit could not be lowered", _OF_LIMIT),
    ),
    page="footprint",
    parameters=(
        Parameter("data_mb", 32, "objects that the program has made before", unit="MiB", least=1, most=4096),
        Parameter("work_mb", 8, "objects that a worker makes and frees", unit="MiB", least=0, most=4096),
    ),
    usual={
        "models": ("serial",),
        "workers": (1,),
        "captures": ("none",),
        "runs": 5,
        "warmup": 0,
        "controls": False,
        "timeout_s": 300.0,
    },
)
