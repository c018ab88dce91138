"""The workloads and suites that have a name: tracekit's own, and the workloads that installed packages announce.

A package announces one in the entry-point group `tracekit.workloads`, in its pyproject.toml:

    [project.entry-points."tracekit.workloads"]
    crunch = "mypackage.mymodule:WORKLOAD"
"""

from __future__ import annotations

from importlib.metadata import entry_points

from tracekit.bundle.spec import CLAIMS
from tracekit.core.registry import Registry

WORKLOADS = Registry(
    "workload",
    {
        "spin": ("workloads.spin:WORKLOAD", "control: pure Python counting, shows what the CPUs can give"),
        "sleep": ("workloads.sleep:WORKLOAD", "control: pure waiting, needs neither CPU nor GIL"),
        "worker-costs": ("workloads.worker_costs:WORKLOAD", "control: tasks that do nothing, what workers cost"),
        "matmul": ("workloads.matmul:WORKLOAD", "matrix product in pure Python: holds the GIL all the time"),
        "nbody": ("workloads.nbody:WORKLOAD", "planets in pure Python, many small calls: holds the GIL all the time"),
        "json": ("workloads.json_documents:WORKLOAD", "JSON written and read: C code that keeps the GIL"),
        "primes": (
            "workloads.primes:WORKLOAD",
            "counting primes in pure Python, tasks of unequal length: holds the GIL all the time",
        ),
        "hashing": ("workloads.hashing:WORKLOAD", "SHA-256 of large buffers: C code that releases the GIL"),
        "compress": ("workloads.compress:WORKLOAD", "data packed with zlib: C code that releases the GIL"),
        "matmul-numpy": (
            "workloads.matmul_numpy:WORKLOAD",
            "matrix products in NumPy: releases the GIL, and BLAS has threads of its own",
        ),
        "files": ("workloads.files:WORKLOAD", "files written, synced to the disk and read back: waits for the disk"),
        "sockets": (
            "workloads.sockets:WORKLOAD",
            "requests to a slow web server: waits for the network",
        ),
        "mixed": ("workloads.mixed:WORKLOAD", "waiting for a socket, then computing: some of each"),
        "tiny-tasks": (
            "workloads.tiny_tasks:WORKLOAD",
            "thousands of tasks that do nothing: the cost of handing them out",
        ),
        "skewed-tasks": (
            "workloads.skewed_tasks:WORKLOAD",
            "long and short tasks in chunks: one worker is overloaded while others idle",
        ),
        "big-results": (
            "workloads.big_results:WORKLOAD",
            "tasks that return megabytes: what pickling and pipes cost",
        ),
        "loop-lag": (
            "workloads.loop_lag:WORKLOAD",
            "a heartbeat beside threads that compute: how late an event loop runs",
        ),
        "shared-state": (
            "workloads.shared_state:WORKLOAD",
            "which writes are visible to others: threads, processes, shared memory",
        ),
        "race": (
            "workloads.race:WORKLOAD",
            "threads increment one counter without a lock: how many updates are lost",
        ),
        "memory-per-worker": (
            "workloads.memory_per_worker:WORKLOAD",
            "the same data in every worker: memory of one more worker",
        ),
        "crash": (
            "workloads.crash:WORKLOAD",
            "one worker fails, for every kind of worker and fault: the consequences for the others",
        ),
        "start-stop": ("workloads.start_stop:WORKLOAD", "nothing but starting workers and stopping them"),
        "ipc": (
            "workloads.ipc:WORKLOAD",
            "messages to another process or thread: every channel, from 1 byte to 64 MiB",
        ),
        "footprint": (
            "workloads.footprint:WORKLOAD",
            "memory, descriptors and threads of each further worker, and how many workers there can be",
        ),
        "import-heavy": (
            "workloads.import_heavy:WORKLOAD",
            "workers whose module imports much: what that adds to their start",
        ),
    },
)


SUITES = Registry(
    "suite",
    {
        CLAIMS: (
            "tracekit.measure.planning.claims:EXPERIMENTS",
            "common claims about threads and processes, put to the test",
        )
    },
    listed="tracekit run --help",
)
"""Names that stand for several requests, whose runs make one suite; no workload has one of them."""

GROUP = "tracekit.workloads"


def announced_workloads() -> dict[str, tuple[str, str]]:
    """The workloads of installed packages: name -> (`module:attribute`, a summary).

    None of them is imported, and none takes a name of tracekit's own.
    """
    return {
        item.name: (item.value, f"{item.value}, of {item.dist.name if item.dist else 'an installed package'}")
        for item in entry_points(group=GROUP)
        if item.name not in WORKLOADS and item.name not in SUITES
    }


def summaries() -> dict[str, str]:
    """name -> summary of every workload, tracekit's own first."""
    own = {name: WORKLOADS.summary(name) for name in WORKLOADS}
    return {**own, **{name: summary for name, (_, summary) in announced_workloads().items()}}


def find_announced(word: str) -> str:
    """The `module:attribute` of a workload that an installed package announces, else the word itself."""
    if word in WORKLOADS or ":" in word:
        return word
    return announced_workloads().get(word, (word, ""))[0]
