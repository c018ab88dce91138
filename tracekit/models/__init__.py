"""HOW work runs: one model per file, each through the executor a user would use, inside the measured process.

A model owns the start *and* the end of its workers and stamps both. It submits `recorder.run_task` with the bare task,
collects the results in item order, calls `recorder.end_window` while every worker is alive and idle, and stamps the
span `shutdown` from its request until all workers are joined.
"""

from __future__ import annotations

from tracekit.registry import Registry

TYPE_CHECKING = False  # see tracekit/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from tracekit.recorder import Recorder


class Work:
    """What a model is given: the bare task, its items, how many workers, and where to record.

    `worker_options` goes to every worker process: streams (folder), counters (source name), capture, raw (folder),
    extra_path.
    """

    def __init__(
        self,
        *,
        task: Callable[[Any], Any],
        items: Sequence[Any],
        workers: int,
        recorder: Recorder,
        worker_options: dict[str, str],
    ) -> None:
        self.task = task
        self.items = items
        self.workers = workers
        self.recorder = recorder
        self.worker_options = worker_options


class Model:
    """One way to run work. `start_method` is what multiprocessing is told, empty where no process is started."""

    name = ""
    start_method = ""

    def run(self, work: Work) -> list[Any]:
        """Do all items and return their results in item order. Raises what a task raised."""
        raise NotImplementedError


MODELS = Registry(
    "model",
    {
        "serial": (
            "tracekit.models.serial:MODEL",
            "one thread, one task after another: what the others are compared with",
        ),
        "threads": ("tracekit.models.threads:MODEL", "ThreadPoolExecutor: workers share one interpreter and its GIL"),
        "fork": ("tracekit.models.processes:FORK", "ProcessPoolExecutor, workers are copies of the parent"),
        "spawn": ("tracekit.models.processes:SPAWN", "ProcessPoolExecutor, each worker is a new interpreter"),
        "forkserver": (
            "tracekit.models.processes:FORKSERVER",
            "ProcessPoolExecutor, workers are copies of a clean server",
        ),
    },
)

START_METHODS = {"fork": "fork", "spawn": "spawn", "forkserver": "forkserver"}
"""The start method each model sets explicitly; the others start no process."""
