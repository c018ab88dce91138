"""crash: what becomes of the others when one worker fails, for every kind of worker and every way to fail.

Shows: a matrix. Each item starts a program of its own (crash_subject.py) with two workers, of which one fails while the
other works and more is pending, and looks what is left: whether the program lives, whether the other worker does, which
results are lost, how long until somebody notices, and what stays behind.
Claim: a crashing process does not bring down others, a crashing thread wreaks havoc.
A good answer: an exception harms nobody but its own task; a bare thread dies of it, and only that its result is missing
tells the program. What kills a process kills all of its threads with it. Under bare processes the others live;
ProcessPoolExecutor notices at once and gives up everything that is pending; Pool replaces the worker and says nothing
of the lost result.
Depends on: concurrent.futures and multiprocessing, whose behaviour is what is shown, and POSIX signals.
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

from tracekit.workload import Observation, Workload
from workloads.crash_subject import FAILS, RUNS_MEANWHILE, START_LIMIT_S, TASKS, cases, quiet_since, read_events
from workloads.process_group import members

Case = tuple[str, str, str]

QUIET_S = 2.0
"""A program in which nothing has happened for so long, longer than its own limit, hangs."""
_SETTLE_S = 2.0
"""What is still there so long after the program is left behind."""
_LOOK_S = 0.02

_WHAT = (
    ("parent_lives", "count", "the program lives to its end"),
    ("parent_hangs", "count", "nothing happens in the program any more, and it does not end"),
    ("sibling_lives", "count", "the other worker finishes what it was at"),
    ("finished_lost", "count", "results that were computed and never came"),
    ("pending_lost", "count", "tasks that were never done"),
    ("noticed_ns", "ns", "from the fault until the program knows"),
    ("noticed_by_limit", "count", "it knows only because it has set itself a time limit"),
    ("left_behind", "count", "processes, semaphores and files that stay behind; of a program that hangs unknown"),
)


def name_of(case: Case) -> str:
    """`ProcessPoolExecutor-fork.sigkill`, as observations are called."""
    pool, method, fault = case
    return f"{pool}-{method}.{fault}" if method else f"{pool}.{fault}"


def make_items(thorough: bool, seed: int) -> list[Case]:
    """All cases; to look whether it works at all, two faults of those that start quickly."""
    if thorough:
        return list(cases())
    return [case for case in cases() if case[1] in ("", "fork") and case[2] in ("exception", "os-exit")]


def task(case: Case) -> tuple[Case, dict[str, int]]:
    """Let the program fail; returns the case and what was seen."""
    with tempfile.TemporaryDirectory(prefix="tk-crash-") as folder:
        events, temporary = Path(folder) / "events", Path(folder) / "tmp"
        events.touch()
        temporary.mkdir()
        code, left = _run(case, events, temporary)
        return case, _seen(events.read_text(encoding="ascii"), code, left)


def _run(case: Case, events: Path, temporary: Path) -> tuple[int | None, int]:
    """Its exit code, None when it had to be killed; and how many processes, semaphores and files it left, all of which
    are removed."""
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
        code = _end(process, events)
        if code is not None:
            left = _rest(process.pid) + len(list(temporary.iterdir()))
    finally:
        for pid in {*members(process.pid), *([process.pid] if process.poll() is None else [])}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        for path in _semaphores(process.pid):
            path.unlink(missing_ok=True)
    return code, left


def _end(process: subprocess.Popen[bytes], events: Path) -> int | None:
    """Its exit code; None when it does not end and nothing has happened for QUIET_S, or no fault came."""
    limit = time.monotonic() + START_LIMIT_S + QUIET_S
    while time.monotonic() < limit:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_S)
        at = read_events(events.read_text(encoding="ascii"))
        if "fault" in at:
            limit = quiet_since(at) + QUIET_S
    return None


def _rest(leader: int) -> int:
    """How many of its processes and semaphores stay: what takes them away may end a little after the program."""
    limit = time.monotonic() + _SETTLE_S
    while (left := len(members(leader)) + len(_semaphores(leader))) and time.monotonic() < limit:
        time.sleep(_LOOK_S)
    return left


def _semaphores(leader: int) -> list[Path]:
    """The semaphores that the program made and nobody took away; it names them by its id."""
    return list(Path("/dev/shm").glob(f"sem.tk{leader}-*"))


def _seen(text: str, code: int | None, left: int) -> dict[str, int]:
    """What the events say; `noticed_ns` is missing where nobody noticed, `left_behind` where the program was killed.

    Nothing at all where nothing failed: the fault never came, because the machine was too slow, say, or this Python
    lacks what it needs; or it did nothing.
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
    """How many cases there were. Raises ValueError where none of them failed as it should."""
    if not any(seen for _, seen in results):
        raise ValueError("no fault came in any of the programs: does crash_subject.py run at all?")
    return str(len(results))


def observe(results: Sequence[tuple[Case, Mapping[str, int]]]) -> Mapping[str, float]:
    """Everything that was seen, of each case."""
    return {f"{name_of(case)}.{what}": value for case, seen in results for what, value in seen.items()}


WORKLOAD = Workload(
    name="crash",
    summary="one worker fails, in every way and under every kind: what becomes of the others",
    kind="fault",
    sizes={"smoke": False, "small": True, "default": True, "large": True},
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observations=tuple(
        Observation(f"{name_of(case)}.{what}", unit, summary) for case in cases() for what, unit, summary in _WHAT
    ),
    usual={
        "models": ("threads",),
        "workers": (2,),
        "captures": ("none",),
        "runs": 1,
        "warmup": 0,
        "controls": False,
        "timeout_s": 300.0,
    },
    invariant="every case was tried; what becomes of the others is what is observed",
)
