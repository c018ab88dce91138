"""Reads the known answers that a reference program wrote (programs/known.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tracekit.core.errors import MeasurementError


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownThread:
    """One thread's answers, for the time from `start_ns` to `end_ns`."""

    pid: int
    tid: int
    name: str
    start_ns: int
    end_ns: int
    cpu_ns: int | None
    waits: dict[str, int]
    calls: dict[str, int]
    at_least: dict[str, int]
    sites: dict[str, list[str]]
    holds: list[str]
    life: dict[str, int]
    idle: dict[str, int]
    migrations: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProcess:
    """The CPU time of all threads of one process until `at_ns`."""

    pid: int
    cpu_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChild:
    """One child process and how it ended; `exit_code` is negative for a signal."""

    pid: int
    ended: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveFunction:
    """A generated function, the only one that the thread ran between two stamps."""

    tid: int
    start_ns: int
    end_ns: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswers:
    """All answers of one run of a program."""

    program: str
    python: tuple[int, ...]
    gil: bool
    unavailable: str = ""
    threads: tuple[KnownThread, ...] = ()
    processes: tuple[KnownProcess, ...] = ()
    children: tuple[KnownChild, ...] = ()
    active: tuple[ActiveFunction, ...] = ()


def read_answers(path: Path) -> KnownAnswers:
    """Read the answers. Raises MeasurementError when the program did not write them."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return KnownAnswers(
            program=data["program"],
            python=tuple(data["python"]),
            gil=data["gil"],
            unavailable=data["unavailable"],
            threads=tuple(KnownThread(**thread) for thread in data["threads"]),
            processes=tuple(KnownProcess(**process) for process in data["processes"]),
            children=tuple(KnownChild(**child) for child in data["children"]),
            active=tuple(
                ActiveFunction(tid=tid, start_ns=start, end_ns=end, name=name)
                for tid, start, end, name in data["active"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(
            f"the reference program left no answers in {path}: {error}",
            f"python -m tracekit.accuracy.programs {path.stem}",
        ) from error
