"""threads: concurrent.futures.ThreadPoolExecutor, which most programs use threads by."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tracekit.bundle.stream_records import StartRecord, ThreadRecord
from tracekit.core.clock import now_ns
from tracekit.measure.inside.models import Model, Round, Work
from tracekit.measure.inside.stream_writer import run_task

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any


class Threads(Model):
    """See the module."""

    name = "threads"

    def run(self, work: Work) -> list[Any]:
        return [result for part in work.rounds() for result in _round(work, part)]


def _round(work: Work, part: Round) -> list[Any]:
    starts: list[tuple[int, int]] = []

    def thread_started() -> None:
        starts.append((now_ns(), threading.get_native_id()))

    pool = ThreadPoolExecutor(work.workers, thread_name_prefix="worker", initializer=thread_started)
    try:
        futures, requests, submits = _submit(pool, work, part)
        results = [future.result() for future in futures]
        had_ns = now_ns()
        cpu = work.writer.end_window() if work.window_ends(part, joined=False) else {}
        ended = now_ns()
    finally:
        requested = now_ns()
        # After a task raised, the rest is not worth waiting for.
        pool.shutdown(wait=True, cancel_futures=True)
        joined = now_ns()
        work.writer.write_span("shutdown", requested, joined)
    work.writer.write_submits(submits)
    item = part.items[0][0] if work.worker_per_item and len(part.items) == 1 else None
    # A pool starts its threads one after another, so the k-th request is the k-th tid: Linux gives rising ids, and a
    # wrapped counter would at worst swap the stamps of two workers.
    for requested, (started, tid) in zip(requests, sorted(starts, key=lambda start: start[1])):
        worker = work.writer.number_worker()
        work.writer.write(
            ThreadRecord(
                tid=tid,
                name=f"worker_{worker}",
                role="worker",
                worker=worker,
                spawn_requested_ns=requested,
                start_ns=started,
                end_ns=ended,
                cpu_ns=cpu.get(tid),
            )
        )
        own = {} if item is None else {"item": item, "result_ns": had_ns, "joined_ns": joined}
        work.writer.write(StartRecord(worker=worker, pid=work.writer.pid, tid=tid, requested_ns=requested, **own))
    if work.window_ends(part, joined=True):
        work.writer.end_window()
    if work.warmup:
        _measure_pickling(work, part, results)
    return results


def _measure_pickling(work: Work, part: Round, results: list[Any]) -> None:
    """Measure what pickling would cost if the workers were processes."""
    from tracekit.measure.inside.pickling import PickleCounter  # noqa: PLC0415 - pickle is nothing that threads need

    counting = PickleCounter(work.writer)
    for (index, item), result in zip(part.items, results):
        # One that cannot be pickled is enough.
        if not counting.measure_here(index, item, result):
            break


def _submit(
    pool: ThreadPoolExecutor, work: Work, part: Round
) -> tuple[list[Future[Any]], list[int], list[tuple[int, int, int]]]:
    """Submit all items. Returns the futures, when each worker thread was requested, and (item, before, after) of each
    submit.

    The pool starts a thread inside a `submit` that finds no idle worker, and does not report it. The number of
    threads before and after the submit does, without the pool's private attributes.
    """
    futures = []
    requests: list[int] = []
    submits: list[tuple[int, int, int]] = []
    others = threading.active_count()
    for index, item in part.items:
        requested = now_ns()
        futures.append(pool.submit(run_task, work.task, index, item))
        submits.append((index, requested, now_ns()))
        if len(requests) < work.workers and threading.active_count() - others > len(requests):
            requests.append(requested)
    return futures, requests, submits


MODEL = Threads()
