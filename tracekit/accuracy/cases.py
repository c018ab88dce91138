"""The cases: which reference programs run, with which options."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One program with its options; `quick` cases make up the self-test."""

    name: str
    program: str
    options: tuple[str, ...] = ()
    quick: bool = False
    sampled: bool = False
    """Whether its threads run and wait for the GIL long enough for py-spy's samples."""
    checks: tuple[str, ...] = ()
    """The only checks that are made of it; empty for all."""
    long: bool = False
    """Whether to run it once only."""


MUTEX = ("gil-kernel", "gil-switch", "sites", "processes")
LOOP = ("gil-kernel", "gil-switch", "gil-holds", "gil-known", "sites", "processes")
SHORT_INTERVAL = ("--threads", "4", "--switch-interval", "0.0001", "--beside", "2")

CASES = (
    Case(name="spinners-1", sampled=True, program="spinners", options=("--threads", "1")),
    Case(name="spinners-2", sampled=True, program="spinners", options=("--threads", "2"), quick=True),
    Case(name="spinners-4", sampled=True, program="spinners", options=("--threads", "4")),
    Case(name="spinners-8", sampled=True, program="spinners", options=("--threads", "8")),
    Case(name="spinners-short-interval", program="spinners", options=SHORT_INTERVAL),
    Case(name="hog", sampled=True, program="hog", quick=True),
    Case(name="loop-hog", program="loop_hog", checks=LOOP),
    Case(name="loop-hog-busy", program="loop_hog", options=("--beside", "8"), checks=LOOP),
    Case(name="sleepers", sampled=True, program="sleepers"),
    Case(name="hashing", sampled=True, program="hashing"),
    Case(name="alternating", program="alternating"),
    Case(name="lock", program="lock", quick=True),
    Case(name="lock-relay", program="lock", options=("--times", "150", "--held", "0.003"), checks=("wakeups",)),
    Case(name="queue", program="queues", quick=True),
    Case(name="event", program="event"),
    Case(name="pipe", program="pipe", quick=True),
    Case(name="socket", program="sockets"),
    Case(name="poll", program="polling"),
    Case(name="convoy", sampled=True, program="convoy", quick=True),
    Case(name="children", program="children", quick=True),
    Case(name="endings", program="endings", quick=True),
    Case(name="fork-threads", program="fork_threads"),
    Case(name="subinterpreters", program="subinterpreters"),
    Case(name="migrations", program="migrations"),
    # Its holds last 3 µs, of which the uprobes' traps take up two: they are no reference for these.
    Case(name="gil-mutex", program="gil_mutex", checks=MUTEX),
    Case(name="gil-mutex-busy", program="gil_mutex", options=("--beside", "8"), checks=MUTEX),
    Case(name="read-storm", program="read_storm"),
    Case(name="lock-storm", program="lock_storm", options=("--hammered", "300000", "--turns", "3000")),
    Case(name="comes-and-goes", program="comes_and_goes", quick=True),
    Case(name="comes-and-goes-60s", program="comes_and_goes", options=("--seconds", "60"), long=True),
)


def choose_cases(names: tuple[str, ...], *, quick: bool = False) -> tuple[Case, ...]:
    """The cases with these names, or all of them. Raises UsageError for an unknown name."""
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise UsageError(f"unknown reference program {name!r}: known are {', '.join(known)}", "make accuracy")
    if names:
        return tuple(known[name] for name in names)
    return tuple(case for case in CASES if case.quick or not quick)
