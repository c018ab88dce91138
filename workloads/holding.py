"""holding: what one more worker holds, and when there can be no more.

Shows: memory (PSS, USS, RSS), descriptors, threads and processes of each worker, once it is up, after some work, after
a garbage collection and after it has looked at data that the program had made before it started workers. From these and
from what the limits leave: how many workers there can be. And what running out looks like, in a program that lowers its
own limits first. Every case is a program of its own, holding_subject.py.
Claim: threads share memory, processes have their own; under fork they share what the parent had, until somebody writes.
A good answer: a thread costs some 10 KiB, a forked process 2 MiB and a spawned one 8 to 10 MiB. A garbage collection in
a forked worker copies all objects of the parent, which gc.freeze prevents; looking at them copies them anyway, as each
counts its references.
Depends on: /proc/<pid>/smaps_rollup, which Linux has, and the limits of whoever runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tracekit.workload import Observation, Parameter, Workload
from workloads import holding_subject, process_group

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned worker would pay
if TYPE_CHECKING:
    from typing import Any

    Item = tuple[str, str, dict[str, Any]]
    Seen = dict[str, float]

WAYS = {
    "threads": ("threads", False),
    "fork": ("fork", False),
    "fork-frozen": ("fork", True),
    "forkserver": ("forkserver", False),
    "spawn": ("spawn", False),
}
"""Kind of workers -> what the subject is told: how to start them, and whether to call gc.freeze before."""
EXHAUSTED = (
    ("threads", "address-space"),
    ("threads", "tasks"),
    ("fork", "tasks"),
    ("fork", "descriptors"),
)
"""What runs out for whom."""
MOST_WORKERS = 32
ERRORS = (
    "no error",
    "RuntimeError: can't start new thread",
    "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    "OSError: [Errno 24] Too many open files",
    "MemoryError",
    "another error",
)
"""What `exhaustion.*.error` is a place in."""

_LIMIT_S = 150.0
_MEMORY = ("pss_bytes", "uss_bytes", "rss_bytes")
_OWN = ("uss_bytes", "rss_bytes")
"""Of the worker processes themselves: a sum over the program too would change with every page that it shares."""
_COUNTS = ("fds", "parent_fds", "tasks", "processes")
_MOMENTS = ("up", "worked", "collected", "touched")
_UNTIL = {
    "nofile": ("parent_fds", "RLIMIT_NOFILE"),
    "nproc": ("tasks", "RLIMIT_NPROC"),
    "pids": ("tasks", "pids.max of the cgroup"),
    "machine": ("tasks", "kernel.threads-max and kernel.pid_max"),
    "memory": ("pss_bytes", "memory.max of the cgroup"),
    "available": ("pss_bytes", "the memory that is available"),
}
"""Limit -> what of a worker counts against it, and its name."""


def make_items(workers: int, seed: int, *, data_mb: int, work_mb: int) -> list[Item]:
    """(what the subject does, kind of worker, what it is told); the seed changes nothing."""
    sizes = {"workers": workers, "data_bytes": data_mb << 20, "work_bytes": work_mb << 20}
    held: list[Item] = [("hold", name, {**sizes, "freeze": freeze}) for name, (_, freeze) in WAYS.items()]
    return [*held, *(("exhaust", way, {"what": what}) for way, what in EXHAUSTED)]


def task(item: Item) -> tuple[str, Seen]:
    """Run one subject. Returns what it was and what was seen; raises RuntimeError for one that failed."""
    what, way, given = item
    if not os.path.exists("/proc/self/smaps_rollup"):  # noqa: PTH110 - pathlib is not needed for anything else here
        raise RuntimeError("what processes hold is read from /proc/<pid>/smaps_rollup, which this system does not have")
    told = _said(what, WAYS[way][0] if what == "hold" else way, given)
    if what == "exhaust":
        place = f"exhaustion.{way}.{given['what']}"
        return place, _exhausted(place, told)
    return way, _held(way, told["moments"], told["limits"])


def _said(what: str, way: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the subject printed. It is ended with all that came from it when it takes too long."""
    command = [sys.executable, holding_subject.__file__, what, way, json.dumps(given)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as subject:
        try:
            out, err = subject.communicate(timeout=_LIMIT_S)
        finally:
            # It may not have come to make its own group.
            subject.kill()
            process_group.end(subject.pid)
    if subject.returncode != 0:
        raise RuntimeError(f"{what} {way}: exit code {subject.returncode}: {err.decode(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads(out)
    return found


def _held(way: str, moments: Sequence[Mapping[str, Any]], limits: Mapping[str, int]) -> Seen:
    alone, *up = [moment for moment in moments if moment["moment"] in ("alone", "up")]
    later = {moment["moment"]: moment for moment in moments if moment["moment"] in _MOMENTS[1:]}
    first, last, workers = up[0], up[-1], len(up)
    seen: Seen = {}
    each: dict[str, float] = {}
    for name in ("pss_bytes", *_COUNTS):
        # With the first worker comes what any number of them needs once, such as the fork server.
        each[name] = (last[name] - first[name]) / (workers - 1)
        seen[f"{way}.up.{name}"] = each[name]
        seen[f"{way}.first.{name}"] = first[name] - alone[name]
    for moment, found in later.items():
        seen[f"{way}.{moment}.pss_bytes"] = each["pss_bytes"] + (found["pss_bytes"] - last["pss_bytes"]) / workers
    for moment, found in {"up": last, **later}.items():
        for name in _OWN:
            # Of a thread it is what the program has more of than without any.
            held = found[f"workers_{name}"] if each["processes"] else found[name] - alone[name]
            seen[f"{way}.{moment}.{name}"] = held / workers
    for count, moment in enumerate(up, start=1):
        seen[f"{way}.total-{count}.pss_bytes"] = moment["pss_bytes"] - alone["pss_bytes"]
    most = {**each, "pss_bytes": max(seen[f"{way}.{moment}.pss_bytes"] for moment in _MOMENTS)}
    for limit, (name, _) in _UNTIL.items():
        left = limits.get(f"{limit}_left")
        if left is not None and most[name] > 0:
            seen[f"{way}.until_{limit}"] = max(0, 1 + (left - seen[f"{way}.first.{name}"]) // most[name])
    return seen


def _exhausted(place: str, told: Mapping[str, Any]) -> Seen:
    if "skipped" in told:
        sys.stderr.write(f"{place} was skipped: {told['skipped']}\n")
        return {f"{place}.skipped": 1}
    said = f"{told['type']}: {told['message']}"
    error = next((number for number, known in enumerate(ERRORS) if said.startswith(known)), len(ERRORS) - 1)
    return {f"{place}.started": told["started"], f"{place}.error": error if told["type"] else 0}


def combine(results: Sequence[tuple[str, Seen]]) -> str:
    """Which cases there were: what they hold is what is observed."""
    return ",".join(name for name, _ in results)


def observe(results: Sequence[tuple[str, Seen]]) -> Mapping[str, float]:
    """Everything that was seen."""
    return {name: value for _, seen in results for name, value in seen.items()}


_SUMMARIES = {
    "pss_bytes": "memory of the program and all workers, shared pages divided by their users",
    "uss_bytes": "memory that it alone holds; of a thread what the program holds more",
    "rss_bytes": "memory in RAM, shared pages in full; of a thread what the program holds more",
    "fds": "open descriptors of the program and all workers",
    "parent_fds": "open descriptors of the program alone",
    "tasks": "threads of the program and all workers",
    "processes": "processes, helpers of multiprocessing included",
}


def _observations() -> tuple[Observation, ...]:
    found = []
    for way in WAYS:
        for name, summary in _SUMMARIES.items():
            unit = "bytes" if name in _MEMORY else "count"
            found.append(Observation(f"{way}.up.{name}", unit, f"a further worker that is up: {summary}"))
            if name not in _OWN:
                with_it = f"the first worker and what comes with it: {summary}"
                found.append(Observation(f"{way}.first.{name}", unit, with_it))
            if name in _MEMORY:
                found += [
                    Observation(f"{way}.{moment}.{name}", unit, f"a worker after it has {moment}: {summary}")
                    for moment in _MOMENTS[1:]
                ]
        found += [
            Observation(f"{way}.total-{count}.pss_bytes", "bytes", f"so many workers: {_SUMMARIES['pss_bytes']}")
            for count in range(1, MOST_WORKERS + 1)
        ]
        found += [
            Observation(f"{way}.until_{limit}", "count", f"workers that there can be: {name}")
            for limit, (_, name) in _UNTIL.items()
        ]
    for way, what in EXHAUSTED:
        place = f"exhaustion.{way}.{what}"
        found += [
            Observation(f"{place}.started", "count", "workers that there were when no more could be started"),
            Observation(f"{place}.error", "count", "what the program was told then, see docs/workloads.md"),
            Observation(f"{place}.skipped", "count", "it could not be bounded, stderr.log says why"),
        ]
    return tuple(found)


WORKLOAD = Workload(
    name="holding",
    summary="what one more worker holds: memory, descriptors, threads; and when there can be no more",
    kind="memory",
    sizes={"smoke": 2, "small": 4, "default": 8, "large": MOST_WORKERS},
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observations=_observations(),
    parameters=(
        Parameter("data_mb", 32, "objects that the program has made before", unit="MiB", least=1, most=4096),
        Parameter("work_mb", 8, "objects that a worker makes for its work and lets go", unit="MiB", least=0, most=4096),
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
