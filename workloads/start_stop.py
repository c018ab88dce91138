"""start-stop: nothing but starting workers and stopping them.

Shows: what a worker costs, from asking for it until it is joined, stage by stage. Each item gets a worker of its own,
which is started for it, does nothing with it and is joined before the next one starts. The first start of a run is the
cold one: it brings up what later ones find there, such as the fork server.
Claim: creating a process costs time, creating a thread is economical; processes start quickly on Unix and slowly on
Windows.
A good answer: a thread within a millisecond, a forked process within some, a spawned one after 50 ms and more, most of
which is Python's own start and imports.
Depends on: nothing but the interpreter and the system; with `main_imports` on how long these modules take to import,
which spawn and forkserver pay for in every worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tracekit.workload import Parameter, Workload

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned worker would pay
if TYPE_CHECKING:
    from typing import Any

_MAIN_IMPORTS = "TRACEKIT_MAIN_IMPORTS"
"""Read by tracekit/measure.py, the main module that workers import again."""


@contextmanager
def around(starts: int, seed: int, *, main_imports: str) -> Iterator[Mapping[str, Any]]:
    """Let the main module import what it is told to: here, as a program's own main module has, and in the workers."""
    for name in main_imports.split():
        __import__(name)
    os.environ[_MAIN_IMPORTS] = main_imports
    try:
        yield {}
    finally:
        del os.environ[_MAIN_IMPORTS]


def make_items(starts: int, seed: int, *, main_imports: str) -> list[int]:
    """Numbers; neither the seed nor the imports change anything."""
    return list(range(starts))


def task(number: int) -> int:
    """Returns the number."""
    return number


def combine(results: Sequence[int]) -> str:
    """How many there were."""
    return str(len(results))


WORKLOAD = Workload(
    name="start-stop",
    summary="nothing but starting workers and stopping them",
    kind="io",
    sizes={"smoke": 2, "small": 3, "default": 3, "large": 11},
    make_items=make_items,
    task=task,
    combine=combine,
    around=around,
    parameters=(Parameter("main_imports", "", "modules that the program's main module imports, by blanks"),),
    usual={
        "models": (
            "threads",
            "raw-threads",
            "fork",
            "raw-fork",
            "forkserver",
            "raw-forkserver",
            "spawn",
            "raw-spawn",
        ),
        "workers": (1,),
        "runs": 30,
        "controls": False,
        "captures": ("stages",),
    },
    worker_per_item=True,
)
