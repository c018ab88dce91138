"""HOW work runs: one model per file, each through the executor a user would use, inside the measured process.

A model owns the start *and* the end of its workers and stamps both. It submits `run_task` with the bare task,
collects the results in item order, calls `writer.end_window` while every worker is alive and idle, and stamps the
span `shutdown` from its request until all workers are joined. It does so in each of `Work.rounds()`, with workers of
its own; `end_window` belongs to the last, when `Work.window_ends` says so.
"""

from __future__ import annotations

from tracekit.core.registry import Registry

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from tracekit.measure.inside.stream_writer import StreamWriter


class Round:
    """Items that are done between the start of workers and their end: (index, item) of each. `last`: none follows."""

    def __init__(self, items: Sequence[tuple[int, Any]], *, last: bool) -> None:
        self.items = items
        self.last = last


class Work:
    """What a model is given: the bare task, its items, how many workers, and where to record.

    `worker_options` goes to every worker process: format (of the bundle), streams (folder), counters (source name),
    trace (path of VizTracer's file, empty without it), extra_path and entries. `worker_per_item`: see Workload.
    `warmup`: the run is not timed, so that more can be recorded: what items and results cost to pickle. Workers then
    stay until the model ends them, also where they would end by themselves, so that their memory can be read while all
    are alive.
    """

    def __init__(
        self,
        *,
        task: Callable[[Any], Any],
        items: Sequence[Any],
        workers: int,
        writer: StreamWriter,
        worker_options: dict[str, Any],
        worker_per_item: bool = False,
        warmup: bool = False,
    ) -> None:
        self.task = task
        self.items = items
        self.workers = workers
        self.writer = writer
        self.worker_options = worker_options
        self.worker_per_item = worker_per_item
        self.warmup = warmup

    def rounds(self) -> Iterator[Round]:
        """One with all items, or one for each item."""
        numbered = list(enumerate(self.items))
        size = 1 if self.worker_per_item else max(1, len(numbered))
        for start in range(0, len(numbered), size):
            yield Round(numbered[start : start + size], last=start + size >= len(numbered))
        if not numbered:
            yield Round([], last=True)

    def window_ends(self, part: Round, *, joined: bool) -> bool:
        """Whether it is time to read the counters, `joined` or not: while all workers are alive and idle, but where
        single starts are timed not before the last worker is joined, or reading would be part of its time."""
        return part.last and joined == (self.worker_per_item and not self.warmup)


class Model:
    """A concurrency model. `start_method` is multiprocessing's, empty where no process is started."""

    name = ""
    start_method = ""

    def run(self, work: Work) -> list[Any]:
        """Do all items and return their results in item order. Raises what a task raised."""
        raise NotImplementedError


_HERE = "tracekit.measure.inside.models"

MODELS = Registry(
    "model",
    {
        "serial": (
            f"{_HERE}.serial:MODEL",
            "one thread, one task after another: what the others are compared with",
        ),
        "threads": (
            f"{_HERE}.threads:MODEL",
            "ThreadPoolExecutor: workers share one interpreter and its GIL",
        ),
        "fork": (
            f"{_HERE}.processes:FORK",
            "ProcessPoolExecutor, workers are copies of the parent",
        ),
        "spawn": (
            f"{_HERE}.processes:SPAWN",
            "ProcessPoolExecutor, each worker is a new interpreter",
        ),
        "forkserver": (
            f"{_HERE}.processes:FORKSERVER",
            "ProcessPoolExecutor, workers are copies of a clean server",
        ),
        "raw-threads": (
            f"{_HERE}.raw_threads:MODEL",
            "threading.Thread itself: each does a fixed share",
        ),
        "raw-fork": (
            f"{_HERE}.raw_processes:FORK",
            "multiprocessing.Process itself, forked: a fixed share each",
        ),
        "raw-spawn": (f"{_HERE}.raw_processes:SPAWN", "the same, each a new interpreter"),
        "raw-forkserver": (
            f"{_HERE}.raw_processes:FORKSERVER",
            "the same, copies of a clean server",
        ),
    },
)
