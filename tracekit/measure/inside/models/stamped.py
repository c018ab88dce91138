"""Processes whose start is stamped without touching multiprocessing.

A context is made whose processes are subclasses of the start method's own `Process`. `start` stamps the request of the
worker, in the parent; the stamp travels with the process object, by memory or by pickle. In the worker
`__setstate__`, the last step of unpickling, and `run`, the first code of ours there, each stamp their own moment. The
beginning and end of the main module, which spawn and forkserver import again, are stamped in measure.py.

A spawned worker imports this file before those stamps, so what it does not need there is imported later.
"""

from __future__ import annotations

import multiprocessing.context
import sys
import time

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from typing import Any

    from tracekit.measure.inside.models import Round, Work

    _Mixed = BaseProcess
else:
    _Mixed = object


class _Stamped(_Mixed):
    """A worker process that stamps its own start. `worker_options` is set by StampedContext."""

    worker_options: dict[str, Any]
    returned_ns: int | None = None
    """In the parent: when `start` returned."""
    unpickled_ns: int | None = None
    """In the worker, where it was pickled."""

    def start(self) -> None:
        self.worker_options["spawn_requested_ns"] = time.monotonic_ns()
        super().start()
        self.returned_ns = time.monotonic_ns()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.unpickled_ns = time.monotonic_ns()

    def run(self) -> None:
        ready_ns = time.monotonic_ns()
        from tracekit.measure.inside.worker_process import measured_worker  # noqa: PLC0415 - must not be paid before the stamp

        measured_worker(self.worker_options, ready_ns, self.unpickled_ns, super().run)


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


class StampedContext:
    """A multiprocessing context of one start method whose processes are stamped, numbered and handed their options."""

    def __init__(self, start_method: str, work: Work) -> None:
        context_class, self._process_class = _METHODS[start_method]
        self._work = work
        self._made: list[_Stamped] = []
        self.context: BaseContext = context_class()
        # A pool calls context.Process(...); on the instance it may be any callable.
        vars(self.context)["Process"] = self.process

    def process(self, *args: Any, **kwargs: Any) -> Any:
        """As `multiprocessing.Process(...)`."""
        process = self._process_class(*args, **kwargs)
        process.worker_options = {**self._work.worker_options, "worker": self._work.writer.number_worker()}
        self._work.writer.worker_processes += 1
        self._made.append(process)
        return process

    def record(self, part: Round, had_ns: int | None, joined_ns: int) -> None:
        """Record what the parent saw of each process: `had_ns` is when it had all results of the round, which is when
        it had a worker's only one where every item has its own worker."""
        from tracekit.bundle.stream_records import StartRecord  # noqa: PLC0415 - a spawned worker must not pay for it before its stamp

        own = self._work.worker_per_item and len(part.items) == 1
        for process in self._made:
            self._work.writer.write(
                StartRecord(
                    worker=process.worker_options["worker"],
                    pid=process.pid,
                    tid=process.pid if sys.platform == "linux" else None,
                    requested_ns=process.worker_options.get("spawn_requested_ns"),
                    returned_ns=process.returned_ns,
                    item=part.items[0][0] if own else None,
                    result_ns=had_ns if own else None,
                    joined_ns=joined_ns if own else None,
                )
            )
