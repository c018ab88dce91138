"""serial: the main thread does one task after another. The yardstick of every speed-up."""

from __future__ import annotations

from tracekit.core.clock import now_ns
from tracekit.measure.inside.models import Model, Work
from tracekit.measure.inside.stream_writer import run_task

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from typing import Any


class Serial(Model):
    """See the module. `workers` is always 1."""

    name = "serial"

    def run(self, work: Work) -> list[Any]:
        results = [run_task(work.task, index, item) for part in work.rounds() for index, item in part.items]
        work.writer.end_window()
        # There is no worker to join; the empty span keeps the records of all models alike.
        ended = now_ns()
        work.writer.write_span("shutdown", ended, ended)
        return results


MODEL = Serial()
