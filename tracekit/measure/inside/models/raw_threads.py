"""raw-threads: threading.Thread itself, without a pool. Each thread does its share of the items, every n-th of them."""

from __future__ import annotations

import threading

from tracekit.bundle.stream_records import StartRecord, ThreadRecord
from tracekit.core.clock import now_ns
from tracekit.measure.inside.models import Model, Round, Work
from tracekit.measure.inside.stream_writer import run_task

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class _Worker(threading.Thread):
    """One worker with its share, its stamps and its results."""

    def __init__(self, number: int, work: Work, share: Sequence[tuple[int, Any]]) -> None:
        super().__init__(name=f"worker_{number}")
        self.number = number
        self.results: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.requested_ns = self.returned_ns = self.started_ns = self.tid = 0
        self.done = threading.Event()
        self._go = threading.Event()
        self._work, self._share = work, share

    def start(self) -> None:
        self.requested_ns = now_ns()
        super().start()
        self.returned_ns = now_ns()

    def run(self) -> None:
        self.started_ns = now_ns()
        self.tid = threading.get_native_id()
        try:
            for index, item in self._share:
                self.results[index] = run_task(self._work.task, index, item)
        except BaseException as error:  # noqa: BLE001 - raised again where the results are wanted
            self.error = error
        self.done.set()
        if self._work.warmup:
            self._go.wait()

    def end(self) -> None:
        """Let it go and join it, if it could be started."""
        self._go.set()
        if self.ident is not None:
            self.join()


class RawThreads(Model):
    """See the module."""

    name = "raw-threads"

    def run(self, work: Work) -> list[Any]:
        return [result for part in work.rounds() for result in self._round(work, part)]

    def _round(self, work: Work, part: Round) -> list[Any]:
        shares = [part.items[first :: work.workers] for first in range(work.workers)]
        workers: list[_Worker] = []
        cpu: dict[int, int] = {}
        had_ns = None
        try:
            for share in filter(None, shares):
                workers.append(_Worker(work.writer.number_worker(), work, share))
                workers[-1].start()
            for worker in workers:
                worker.done.wait()
            had_ns = now_ns()
            if work.window_ends(part, joined=False):
                cpu = work.writer.end_window()
        finally:
            requested = now_ns()
            for worker in workers:
                worker.end()
            joined = now_ns()
            work.writer.write_span("shutdown", requested, joined)
        _record(work, part, workers, cpu, had_ns, joined)
        if work.window_ends(part, joined=True):
            work.writer.end_window()
        for worker in workers:
            if worker.error is not None:
                raise worker.error
        results = {index: result for worker in workers for index, result in worker.results.items()}
        return [results[index] for index, _ in part.items]


def _record(
    work: Work, part: Round, workers: list[_Worker], cpu: dict[int, int], had_ns: int | None, joined_ns: int
) -> None:
    own = work.worker_per_item and len(part.items) == 1
    for worker in workers:
        work.writer.write(
            ThreadRecord(
                tid=worker.tid,
                name=worker.name,
                role="worker",
                worker=worker.number,
                spawn_requested_ns=worker.requested_ns,
                start_ns=worker.started_ns,
                end_ns=joined_ns,
                cpu_ns=cpu.get(worker.tid),
            )
        )
        work.writer.write(
            StartRecord(
                worker=worker.number,
                pid=work.writer.pid,
                tid=worker.tid,
                requested_ns=worker.requested_ns,
                returned_ns=worker.returned_ns,
                item=part.items[0][0] if own else None,
                result_ns=had_ns if own else None,
                joined_ns=joined_ns if own else None,
            )
        )


MODEL = RawThreads()
