"""start-stop: nothing but starting workers and stopping them.

Shows: what a worker costs, from the request until it is joined, stage by stage. Each item gets a worker of its own,
which is started for it, does nothing and is joined before the next one starts. The first start of a run is
the cold one: it creates what later ones reuse, such as the fork server.
Claim: creating a process costs time, creating a thread is economical; processes start quickly on Unix and slowly on
Windows.
A good answer: a thread within a millisecond, a forked process within some, a spawned one after 50 ms and more, most of
which is Python's own start and imports.
Depends on: nothing but the interpreter and the system; with `main_imports` on how long these modules take to import,
which spawn and forkserver pay for in every worker, forkserver with `preload` only once; with `parent_mb` on how long
fork takes to copy the page tables. `-P parent_mb=0 -P parent_mb=100 -P parent_mb=500` measures all three, in turn.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tracekit.workload import Parameter, Workload

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned worker would pay
if TYPE_CHECKING:
    from typing import Any

_MAIN_IMPORTS = "TRACEKIT_MAIN_IMPORTS"
"""Read by tracekit/measure/inside/measured.py, the main module that workers import again."""

_PAGE = 4096


@contextmanager
def around(
    starts: int, seed: int, *, main_imports: str, preload: bool, parent_mb: int, parent_threads: int
) -> Iterator[Mapping[str, Any]]:
    """Set up the parent: the imports of its main module, here and in the workers, the imports of the fork server before
    its first worker, the memory that the parent has touched and its further threads."""
    names = [name for name in main_imports.split(",") if name]
    for name in names:
        __import__(name)
    os.environ[_MAIN_IMPORTS] = " ".join(names)
    if preload:
        multiprocessing.set_forkserver_preload(names)
    # One byte of each page, or the kernel would not have given the memory.
    touched = bytearray(parent_mb << 20)
    touched[::_PAGE] = bytes([1]) * len(range(0, len(touched), _PAGE))
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(parent_threads)]
    for thread in threads:
        thread.start()
    try:
        yield {}
    finally:
        end.set()
        for thread in threads:
            thread.join()
        del os.environ[_MAIN_IMPORTS], touched


def make_items(
    starts: int, seed: int, *, main_imports: str, preload: bool, parent_mb: int, parent_threads: int
) -> list[int]:
    """The numbers of the starts; the parameters change only the parent."""
    return list(range(starts))


def task(number: int) -> int:
    """Returns the number."""
    return number


def combine(results: Sequence[int]) -> str:
    """The number of starts."""
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
    parameters=(
        Parameter("main_imports", "", "modules that the program's main module imports, by commas"),
        Parameter("preload", False, "whether the fork server imports them too, before its first worker"),
        Parameter("parent_mb", 0, "memory that the parent has touched", unit="MiB", least=0, most=8192),
        Parameter("parent_threads", 0, "further threads of the parent, which sleep", least=0, most=1000),
    ),
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
