"""Starting a spawned worker with bare multiprocessing, and the way tracekit starts it; in turn, in one process.

    python -c 'from tests.bench.spawn_cost import main; main()' PAIRS

`-c`, because a spawned worker imports a main module that has a file. Printed is JSON, a list of pairs:
`bare_ns`      request -> initializer, in a pool of multiprocessing's own spawn context
`reported_ns`  request -> first instruction, as tracekit's context stamps both: the number in a report
`stamped_ns`   request -> initializer, in a pool of tracekit's context, after it has set up the worker's recorder
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

from tests.bench.stamp import first_instruction, stamp_first_instruction
from tracekit.bundle.spec import FORMAT
from tracekit.measure.inside.counters import choose
from tracekit.measure.inside.models import Work
from tracekit.measure.inside.models.stamped import StampedContext
from tracekit.measure.inside.stream_writer import StreamWriter


def main() -> None:
    """Make as many pairs as the command line says, after one that is not counted."""
    made = [pair(swapped=bool(number % 2)) for number in range(int(sys.argv[1]) + 1)]
    sys.stdout.write(json.dumps(made[1:]))


def pair(*, swapped: bool) -> dict[str, int]:
    """One pool of each kind; the second of them starts on a warmer machine, hence `swapped`."""
    if swapped:
        stamped = _stamped()
        return {"bare_ns": _bare(), **stamped}
    return {"bare_ns": _bare(), **_stamped()}


def _bare() -> int:
    return _start(multiprocessing.get_context("spawn"))[1]


def _stamped() -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        source = choose("auto")
        options = {
            "format": FORMAT,
            "streams": folder,
            "counters": source.name,
            "trace": "",
            "extra_path": "",
            "entries": 0,
        }
        writer = StreamWriter(folder, source, periodic=False)
        work = Work(task=abs, items=[], workers=1, writer=writer, worker_options=options)
        pid, took = _start(StampedContext("spawn", work).context)
        writer.close(0)
        meta = json.loads((Path(folder) / f"{pid}.jsonl").read_text(encoding="ascii").split("\n", 1)[0])
    return {"reported_ns": meta["interpreter_ready_ns"] - meta["spawn_requested_ns"], "stamped_ns": took}


def _start(context: BaseContext) -> tuple[int, int]:
    """The pid of the one worker, and the time from asking for it to its initializer."""
    with ProcessPoolExecutor(1, mp_context=context, initializer=stamp_first_instruction) as pool:
        asked = time.monotonic_ns()
        pid, ready = pool.submit(first_instruction, 0).result()
    return pid, ready - asked
