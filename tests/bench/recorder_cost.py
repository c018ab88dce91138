"""What the recorder costs a measured process: `stream_writer.run_task` beside the bare call, and the readings.

    python -m tests.bench.recorder_cost ROUNDS TASKS

Printed is JSON, a list of rounds: `run_task_ns` per task over the bare call, `flush_ns` per span, and `readings_ns` per
`process_readings` of a process with one thread.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from tracekit.measure.inside import stream_writer
from tracekit.measure.inside.counters import choose

READINGS = 50


def main() -> None:
    """Make as many rounds as the command line says, after one that is not counted."""
    rounds, tasks = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        own = stream_writer.install(stream_writer.StreamWriter(folder, choose("auto"), periodic=False))
        made = [_round(own, tasks) for _ in range(rounds + 1)]
        own.close(0)
    sys.stdout.write(json.dumps(made[1:]))


def nothing(item: Any) -> Any:
    """The task."""
    return item


def _round(own: stream_writer.StreamWriter, tasks: int) -> dict[str, float]:
    bare = _took(lambda: [nothing(item) for item in range(tasks)])
    recorded = _took(lambda: [stream_writer.run_task(nothing, item, item) for item in range(tasks)])
    return {
        "run_task_ns": (recorded - bare) / tasks,
        "flush_ns": _took(own.flush) / tasks,
        "readings_ns": _took(lambda: [own.source.process_readings() for _ in range(READINGS)]) / READINGS,
    }


def _took(call: Callable[[], object]) -> int:
    started = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - started


if __name__ == "__main__":
    main()
