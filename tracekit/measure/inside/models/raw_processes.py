"""raw-fork, raw-spawn, raw-forkserver: multiprocessing.Process itself, without a pool.

Each worker gets its share of the items with the process object, every n-th of them, and sends all its results through
a pipe of its own before it ends. No task is handed out singly: that saves the pool's queues and threads,
and costs balance.
"""

from __future__ import annotations

import time

from tracekit.measure.inside.models import Model, Round, Work
from tracekit.measure.inside.models.stamped import StampedContext

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from typing import Any


def do_share(pipe: Connection, task: Callable[[Any], Any], share: Sequence[tuple[int, Any]], stay: bool) -> None:
    """What a worker runs. Sends ("results", list) or ("error", exception); with `stay` it then waits for a message."""
    from tracekit.measure.inside.stream_writer import run_task  # noqa: PLC0415 - a spawned worker must not pay for it before its stamp

    try:
        message: tuple[str, Any] = ("results", [(index, run_task(task, index, item)) for index, item in share])
    except Exception as error:  # noqa: BLE001 - whatever a task raises is the parent's to raise
        message = ("error", error)
    try:
        pipe.send(message)
    except Exception as error:  # noqa: BLE001 - results that cannot be pickled, whatever their __reduce__ raises
        pipe.send(("error", RuntimeError(f"the results cannot be sent: {error!r}")))
    if stay:
        pipe.recv()
    pipe.close()


class RawProcesses(Model):
    """See the module."""

    def __init__(self, name: str, start_method: str) -> None:
        self.name = name
        self.start_method = start_method

    def run(self, work: Work) -> list[Any]:
        return [result for part in work.rounds() for result in self._round(work, part)]

    def _round(self, work: Work, part: Round) -> list[Any]:
        stamped = StampedContext(self.start_method, work)
        shares = [part.items[first :: work.workers] for first in range(work.workers)]
        workers: list[tuple[Any, Connection]] = []
        had_ns = None
        results: dict[int, Any] = {}
        try:
            for share in filter(None, shares):
                ours, theirs = stamped.context.Pipe()
                process = stamped.process(target=do_share, args=(theirs, work.task, share, work.warmup))
                workers.append((process, ours))
                process.start()
                theirs.close()
            for process, pipe in workers:
                results.update(_receive_results(process, pipe))
            had_ns = time.monotonic_ns()
            if work.window_ends(part, joined=False):
                work.writer.end_window()
        finally:
            requested = time.monotonic_ns()
            for process, pipe in workers:
                _end(process, pipe, killed=had_ns is None, stays=work.warmup)
            joined = time.monotonic_ns()
            work.writer.write_span("shutdown", requested, joined)
        stamped.record(part, had_ns, joined)
        if work.window_ends(part, joined=True):
            work.writer.end_window()
        return [results[index] for index, _ in part.items]


def _receive_results(process: Any, pipe: Connection) -> list[tuple[int, Any]]:
    """The worker's results. Raises what a task raised, and RuntimeError for a worker that died."""
    try:
        kind, value = pipe.recv()
    except (EOFError, OSError):
        process.join()
        raise RuntimeError(
            f"worker {process.worker_options['worker']} ended with exit code {process.exitcode} and no results"
        ) from None
    if kind == "error":
        raise value
    found: list[tuple[int, Any]] = value
    return found


def _end(process: Any, pipe: Connection, *, killed: bool, stays: bool) -> None:
    """Join a worker; after a task raised the rest of its share is not worth waiting for."""
    if process.pid is None:
        return
    if killed:
        process.terminate()
    elif stays:
        pipe.send(None)
    process.join()
    pipe.close()


FORK = RawProcesses("raw-fork", "fork")
SPAWN = RawProcesses("raw-spawn", "spawn")
FORKSERVER = RawProcesses("raw-forkserver", "forkserver")
