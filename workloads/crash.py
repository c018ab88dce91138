"""crash: the consequences of one failing worker, for every kind of worker and every kind of fault.

Shows: a matrix. Each item starts a program of its own (crash_subject.py) with two workers. One worker fails while the
other works and more tasks are pending. Recorded are: whether the program survives, whether the other worker does, which
results are lost, how long until the program notices, and what it leaves behind.
Claim: a crashing process does not bring down others, a crashing thread wreaks havoc.
A good answer: an exception costs its own task only; it ends a bare thread, and the program notices only that the result
is missing. A fault that kills a process kills all its threads. With bare processes the others survive;
ProcessPoolExecutor notices at once and gives up all pending tasks; Pool replaces the worker and does not report the
lost result.
Depends on: concurrent.futures and multiprocessing, whose behaviour is shown, and POSIX signals.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tracekit.workload import Observable, Observation, Workload
from workloads.crash_subject import (
    FAILS,
    RUNS_MEANWHILE,
    START_LIMIT_S,
    TASKS,
    cases,
    compute_limit,
    quiet_since,
    read_events,
)
from workloads.process_group import members

Case = tuple[str, str, str]

QUIET_S = 1.0
"""A program in which nothing has happened for this long after its own limit hangs."""
_SETTLE_S = 2.0
"""What still exists this long after the program's end counts as left behind."""
_LOOK_S = 0.02

_DIMENSIONS = ("pool", "start_method", "case")
_OBSERVABLES = (
    Observable("parent_lives", "count", "the program runs to its end", _DIMENSIONS),
    Observable("parent_hangs", "count", "nothing happens in the program any more, and it does not end", _DIMENSIONS),
    Observable("sibling_lives", "count", "the other worker finishes its task", _DIMENSIONS),
    Observable("finished_lost", "count", "results that were computed and never arrived", _DIMENSIONS),
    Observable("pending_lost", "count", "tasks that were never done", _DIMENSIONS),
    Observable("noticed_ns", "ns", "from the fault until the program notices", _DIMENSIONS),
    Observable("noticed_by_limit", "count", "it notices only by its own time limit", _DIMENSIONS),
    Observable(
        "left_behind",
        "count",
        "processes, semaphores and files that are left; unknown of a program that hangs",
        _DIMENSIONS,
    ),
)


def make_items(thorough: bool, seed: int) -> list[Case]:
    """All cases; at the smallest size two faults of the workers that start quickly."""
    if thorough:
        return list(cases())
    return [case for case in cases() if case[1] in ("", "fork") and case[2] in ("exception", "os-exit")]


def task(case: Case) -> tuple[Case, dict[str, int]]:
    """Run the program that fails; returns the case and its observations by name."""
    with tempfile.TemporaryDirectory(prefix="tk-crash-") as folder:
        events, temporary = Path(folder) / "events", Path(folder) / "tmp"
        events.touch()
        temporary.mkdir()
        code, left = _run(case, events, temporary)
        return case, _judge_events(events.read_text(encoding="ascii"), code, left)


def _run(case: Case, events: Path, temporary: Path) -> tuple[int | None, int]:
    """The program's exit code, None when it had to be killed; and the number of processes, semaphores and files that it
    left, which are removed."""
    pool, method, fault = case
    process = subprocess.Popen(
        [sys.executable, "-s", str(Path(__file__).with_name("crash_subject.py")), pool, method, fault, str(events)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    left = 0
    try:
        code = _await_end(process, events)
        if code is not None:
            left = _count_left(process.pid) + len(list(temporary.iterdir()))
    finally:
        for pid in {*members(process.pid), *([process.pid] if process.poll() is None else [])}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        for path in _find_semaphores(process.pid):
            path.unlink(missing_ok=True)
    return code, left


def _await_end(process: subprocess.Popen[bytes], events: Path) -> int | None:
    """The exit code; None when the program does not end and nothing has happened for QUIET_S, or no fault came."""
    limit = time.monotonic() + START_LIMIT_S + QUIET_S
    while time.monotonic() < limit:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_S)
        at = read_events(events.read_text(encoding="ascii"))
        if "fault" in at:
            limit = quiet_since(at) + compute_limit(at) + QUIET_S
    return None


def _count_left(leader: int) -> int:
    """The number of processes and semaphores that stay; what removes them may end a little after the program."""
    limit = time.monotonic() + _SETTLE_S
    while (left := len(members(leader)) + len(_find_semaphores(leader))) and time.monotonic() < limit:
        time.sleep(_LOOK_S)
    return left


def _find_semaphores(leader: int) -> list[Path]:
    """The semaphores that the program made and nobody removed; it names them by its process id."""
    return list(Path("/dev/shm").glob(f"sem.tk{leader}-*"))


def _judge_events(text: str, code: int | None, left: int) -> dict[str, int]:
    """The observations by name. `noticed_ns` is absent where the program did not notice, `left_behind` where it was
    killed.

    Empty where nothing failed: the fault never came, because the machine was too slow or this Python lacks a module;
    or it had no effect.
    """
    at = read_events(text)
    ended, results = at.get("end", {}).keys(), at.get("result", {}).keys()
    if "fault" not in at or FAILS in ended:
        return {}
    seen = {
        "parent_lives": int("survived" in at and code == 0),
        "parent_hangs": int(code is None),
        "sibling_lives": int(RUNS_MEANWHILE in ended),
        "finished_lost": len(ended - results),
        "pending_lost": len(set(range(TASKS)) - ended - {FAILS}),
        "noticed_by_limit": int("limit" in at),
    }
    if code is not None:
        seen["left_behind"] = left
    if "noticed" in at:
        seen["noticed_ns"] = min(at["noticed"].values()) - at["fault"][FAILS]
    return seen


def combine(results: Sequence[tuple[Case, Mapping[str, int]]]) -> str:
    """The number of cases. Raises ValueError when none of them failed."""
    if not any(seen for _, seen in results):
        raise ValueError("no fault came in any of the programs: does crash_subject.py run at all?")
    return str(len(results))


def observe(results: Sequence[tuple[Case, Mapping[str, int]]]) -> list[Observation]:
    """The observations of each case."""
    return [
        Observation(what, value, pool=pool, start_method=method, case=fault)
        for (pool, method, fault), seen in results
        for what, value in seen.items()
    ]


WORKLOAD = Workload(
    name="crash",
    summary="one worker fails, for every kind of worker and fault: the consequences for the others",
    kind="fault",
    sizes={"smoke": False, "small": True, "default": True, "large": True},
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observables=_OBSERVABLES,
    page="faults",
    usual={
        "models": ("threads",),
        "workers": (2,),
        "captures": ("none",),
        "runs": 1,
        "warmup": 0,
        "controls": False,
        "timeout_s": 300.0,
    },
    invariant="every case was tried; the consequences are the observations",
)
