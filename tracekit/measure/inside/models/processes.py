"""fork, spawn, forkserver: concurrent.futures.ProcessPoolExecutor with an explicit start method.

How the processes' starts are stamped is in stamped.py. The executor's own module is imported here by a spawned worker
as well, which costs it nothing: the worker's main loop is in it.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor

from tracekit.measure.inside.models import Model, Round, Work
from tracekit.measure.inside.models.stamped import StampedContext

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from typing import Any


class Processes(Model):
    """See the module."""

    def __init__(self, start_method: str) -> None:
        self.name = start_method
        self.start_method = start_method

    def run(self, work: Work) -> list[Any]:
        return [result for part in work.rounds() for result in self._round(work, part)]

    def _round(self, work: Work, part: Round) -> list[Any]:
        stamped = StampedContext(self.start_method, work)
        pool = ProcessPoolExecutor(work.workers, mp_context=stamped.context)
        had_ns = None
        submits: list[tuple[int, int, int]] = []
        try:
            results = _counted(pool, work, part) if work.warmup else _done(pool, work, part, submits)
            had_ns = time.monotonic_ns()
            if work.window_ends(part, joined=False):
                work.writer.end_window()
        finally:
            requested = time.monotonic_ns()
            # After a task raised, the rest is not worth waiting for.
            pool.shutdown(wait=True, cancel_futures=True)
            joined = time.monotonic_ns()
            work.writer.write_span("shutdown", requested, joined)
            work.writer.write_submits(submits)
        stamped.record(part, had_ns, joined)
        if work.window_ends(part, joined=True):
            work.writer.end_window()
        return results


def _done(pool: ProcessPoolExecutor, work: Work, part: Round, submits: list[tuple[int, int, int]]) -> list[Any]:
    """The results; adds (item, before, after) of each submit."""
    from tracekit.measure.inside.stream_writer import run_task  # noqa: PLC0415 - a worker must not pay for it before its stamp

    futures = []
    for index, item in part.items:
        before = time.monotonic_ns()
        futures.append(pool.submit(run_task, work.task, index, item))
        submits.append((index, before, time.monotonic_ns()))
    return [future.result() for future in futures]


def _counted(pool: ProcessPoolExecutor, work: Work, part: Round) -> list[Any]:
    """The same, with what pickling costs."""
    from tracekit.measure.inside.pickling import PickleCounter, run_pickled_task  # noqa: PLC0415 - as above

    counting = PickleCounter(work.writer)
    futures = [
        (index, pool.submit(run_pickled_task, work.task, index, counting.pack(index, item)))
        for index, item in part.items
    ]
    return [counting.unpack(index, future.result()) for index, future in futures]


FORK = Processes("fork")
SPAWN = Processes("spawn")
FORKSERVER = Processes("forkserver")
