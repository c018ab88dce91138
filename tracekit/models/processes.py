"""fork, spawn, forkserver: concurrent.futures.ProcessPoolExecutor with an explicit start method.

How a worker's start is stamped without touching multiprocessing: the pool is given a context whose processes are
subclasses of the method's own `Process`. `start` notes when the worker was asked for, in the parent; the note travels
with the process object, by memory or by pickle; `run`, the first code of ours in the worker, stamps its own moment.

A spawned worker imports this file before that stamp, so what it does not need there is imported later. The executor's
own module is no extra: the worker's main loop lives in it.
"""

from __future__ import annotations

import multiprocessing.context
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tracekit.models import Model, Work

TYPE_CHECKING = False  # see tracekit/registry.py
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from typing import Any

    _Mixed = BaseProcess
else:
    _Mixed = object


class _Stamped(_Mixed):
    """A worker process that stamps its own start. `worker_options` is set by `stamped_context`."""

    worker_options: dict[str, Any]

    def start(self) -> None:
        self.worker_options["spawn_requested_ns"] = time.monotonic_ns()
        super().start()

    def run(self) -> None:
        ready_ns = time.monotonic_ns()
        from tracekit.worker import measured_worker  # noqa: PLC0415 - must not be paid before the stamp

        measured_worker(self.worker_options, ready_ns, super().run)


class StampedSpawnProcess(_Stamped, multiprocessing.context.SpawnProcess):
    """Pickled by name into the worker, hence public."""


_METHODS: dict[str, tuple[type[BaseContext], type[Any]]] = {
    "spawn": (multiprocessing.context.SpawnContext, StampedSpawnProcess)
}

if sys.platform != "win32":

    class StampedForkProcess(_Stamped, multiprocessing.context.ForkProcess):
        """Inherited by memory."""

    class StampedForkServerProcess(_Stamped, multiprocessing.context.ForkServerProcess):
        """Pickled by name into the worker, hence public."""

    _METHODS["fork"] = (multiprocessing.context.ForkContext, StampedForkProcess)
    _METHODS["forkserver"] = (multiprocessing.context.ForkServerContext, StampedForkServerProcess)


class Processes(Model):
    """See the module."""

    def __init__(self, start_method: str) -> None:
        self.name = start_method
        self.start_method = start_method

    def run(self, work: Work) -> list[Any]:
        from tracekit.recorder import run_task  # noqa: PLC0415 - see the module

        pool = ProcessPoolExecutor(work.workers, mp_context=stamped_context(self.start_method, work))
        try:
            futures = [pool.submit(run_task, work.task, index, item) for index, item in enumerate(work.items)]
            results = [future.result() for future in futures]
            work.recorder.end_window()
        finally:
            asked = time.monotonic_ns()
            # After a task raised, the rest is not worth waiting for.
            pool.shutdown(wait=True, cancel_futures=True)
            work.recorder.span("shutdown", asked, time.monotonic_ns())
        return results


def stamped_context(start_method: str, work: Work) -> BaseContext:
    """A context of that start method whose processes are stamped, numbered and handed their options."""
    context_class, process_class = _METHODS[start_method]

    def make_process(*args: Any, **kwargs: Any) -> Any:
        process = process_class(*args, **kwargs)
        process.worker_options = {**work.worker_options, "worker": work.recorder.workers_asked_for}
        work.recorder.workers_asked_for += 1
        return process

    context = context_class()
    # The pool calls context.Process(...); on the instance it may be any callable.
    vars(context)["Process"] = make_process
    return context


FORK = Processes("fork")
SPAWN = Processes("spawn")
FORKSERVER = Processes("forkserver")
