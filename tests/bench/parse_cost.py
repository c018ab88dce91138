"""How fast a VizTracer file becomes the table `slices`, and in how much memory.

    python -m tests.bench.parse_cost FILE

Printed is JSON: `seconds`, `rows`, and the process's peak of resident memory before (`idle_bytes`) and after
(`peak_bytes`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tracekit.analysis.load.viztracer import read_viztracer

DEPTH = 10


def main() -> None:
    """Read the file that the command line names, once."""
    idle = peak_bytes()
    started = time.perf_counter()
    rows = len(read_viztracer(Path(sys.argv[1]), "made").slices)
    took = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": took, "rows": rows, "idle_bytes": idle, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int | None:
    """The most memory this process had; None where the system does not say.

    /proc and not getrusage, whose maximum begins with that of the process that forked this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def write_trace(path: Path, events: int) -> None:
    """A file as VizTracer writes it: towers of calls DEPTH high, one beside the other, of 20 functions."""
    with path.open("w", encoding="ascii") as file:
        file.write(
            '{"traceEvents":[{"ph":"M","pid":7,"tid":7,"name":"process_name","args":{"name":"MainProcess"}},'
            '{"ph":"M","pid":7,"tid":7,"name":"thread_name","args":{"name":"MainThread"}}'
        )
        for number in range(events):
            tower, height = divmod(number, DEPTH)
            # VizTracer writes a call when it ends: the innermost of a tower comes first.
            inside = DEPTH - 1 - height
            start, took = 1_000_000 + tower * 25 + inside, 2 * (DEPTH - inside)
            name = f"function_{number % 20} (/somewhere/in/a/program/module_{number % 20}.py:{number % 20 + 1})"
            file.write(f',{{"pid":7,"tid":7,"ts":{start}.125,"ph":"X","cat":"fee","dur":{took}.250,"name":"{name}"}}')
        file.write('], "viztracer_metadata": {"overflow":false}}')


if __name__ == "__main__":
    main()
