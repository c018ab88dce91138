"""What a program said of itself, as programs/known.py writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tracekit.core.errors import MeasurementError


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownThread:
    """One thread's answers; they are about what happened between `start_ns` and `end_ns`."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChild:
    """One child and how it ended; `exit_code` is negative for a signal."""

    pid: int
    ended: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """The one generated function that a thread ran between two stamps."""

    tid: int
    start_ns: int
    end_ns: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All answers of one run of a program."""

    program: str
    python: tuple[int, ...]
    gil: bool
    unavailable: str = ""
    threads: tuple[KnownThread, ...] = ()
    children: tuple[KnownChild, ...] = ()
    active: tuple[Active, ...] = ()


def read_known(path: Path) -> Known:
    """The answers in that file. Raises MeasurementError when the program did not write them."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Known(
            program=data["program"],
            python=tuple(data["python"]),
            gil=data["gil"],
            unavailable=data["unavailable"],
            threads=tuple(KnownThread(**thread) for thread in data["threads"]),
            children=tuple(KnownChild(**child) for child in data["children"]),
            active=tuple(
                Active(tid=tid, start_ns=start, end_ns=end, name=name) for tid, start, end, name in data["active"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(
            f"the truth program left no answers in {path}: {error}",
            f"python -m tracekit.accuracy.programs {path.stem}",
        ) from error
