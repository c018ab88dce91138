"""Measures what pickling a task's item and result costs: bytes, and time on each side.

In the warm-up run of a process model the parent pickles each item itself and hands the bytes to the worker, which
unpickles them, does the task and pickles the result; the pool then pickles the bytes once more, which copies them. So
the item and the result are measured without the pool's own wrapping, and no timed run is affected.
ForkingPickler is what multiprocessing itself pickles with.
"""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler

from tracekit.bundle.stream_records import PickledRecord
from tracekit.core.clock import now_ns
from tracekit.measure.inside.stream_writer import run_task

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tracekit.measure.inside.stream_writer import StreamWriter

_LONGEST = 200
"""Of an error's text: it may hold a repr of whatever could not be pickled."""

Returned = tuple[bytes, int, int]
"""The pickled result; ns that it took to unpickle the item and to pickle the result."""


class PickleCounter:
    """The parent's side: one record `pickled` per item."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer
        self._packed: dict[int, tuple[int, int]] = {}

    def pack(self, index: int, item: Any) -> bytes:
        """The item as bytes. Raises what pickling raises."""
        start = now_ns()
        data = bytes(ForkingPickler.dumps(item))
        self._packed[index] = (len(data), now_ns() - start)
        return data

    def unpack(self, index: int, returned: Returned) -> Any:
        """The result that a worker returned."""
        return self._unpacked(index, returned)

    def measure_here(self, index: int, item: Any, result: Any) -> bool:
        """Measure what both would cost if sent to another process and back. Returns whether they can be pickled."""
        try:
            data = self.pack(index, item)
            start = now_ns()
            pickle.loads(data)  # our own
            loads_ns, start = now_ns() - start, now_ns()
            packed = bytes(ForkingPickler.dumps(result))
            self._unpacked(index, (packed, loads_ns, now_ns() - start))
        except Exception as error:  # noqa: BLE001 - whatever their __reduce__ raises
            reason = f"{type(error).__name__}: {error}"
            self._writer.write(PickledRecord(item=index, error=reason[:_LONGEST]))
            return False
        return True

    def _unpacked(self, index: int, returned: Returned) -> Any:
        data, item_loads_ns, result_dumps_ns = returned
        start = now_ns()
        result = pickle.loads(data)  # what our own worker pickled
        result_loads_ns = now_ns() - start
        item_bytes, item_dumps_ns = self._packed.pop(index)
        self._writer.write(
            PickledRecord(
                item=index,
                item_bytes=item_bytes,
                item_dumps_ns=item_dumps_ns,
                item_loads_ns=item_loads_ns,
                result_bytes=len(data),
                result_dumps_ns=result_dumps_ns,
                result_loads_ns=result_loads_ns,
            )
        )
        return result


def run_pickled_task(task: Callable[[Any], Any], index: int, data: bytes) -> Returned:
    """The worker's side: what is submitted instead of run_task."""
    start = now_ns()
    item = pickle.loads(data)  # what our own parent pickled
    loads_ns = now_ns() - start
    result = run_task(task, index, item)
    start = now_ns()
    packed = bytes(ForkingPickler.dumps(result))
    return packed, loads_ns, now_ns() - start
