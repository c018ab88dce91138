"""Measures tracekit itself: `make bench`, or `make bench ARGS=--json`.

Every round takes each measurement once, so that a slow minute of the machine meets all alike. A ratio is taken pair by
pair. The least value is the machine at its best; the median is what it is like to use.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracekit
from tests.bench import help_cost
from tests.bench.parse_cost import write_trace
from tests.table_factory import suite
from tracekit.analysis.load import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.report.write import write
from tracekit.bundle.store import SuiteFolder

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "tests" / "golden" / "bundle" / "20250101-000000-matmul"

UNITS = {
    "help": ("ms", "tracekit --help, CPU time"),
    "help.bare": ("ms", "a program with one click command, --help, CPU time"),
    "help.ratio": ("x", "tracekit --help over the bare one"),
    "report.load": ("ms", "load the golden bundle: 9 runs of 3 models"),
    "report.metrics": ("ms", "all metrics of a made suite: 100 runs of 5 models and 2 controls"),
    "report.write": ("ms", "view, figures, HTML, Markdown, CSV and JSON of that suite"),
    "parse.time": ("s", "VizTracer file to slices"),
    "parse.speed": ("MB/s", "the same, by size of the file"),
    "parse.peak": ("MiB", "peak resident memory above that after the imports"),
    "recorder.run_task": ("ns", "per task, over the bare call"),
    "recorder.flush": ("ns", "per task, writing its span when no task runs"),
    "recorder.readings": ("µs", "process_readings with one thread, twice per process"),
    "spawn.bare": ("ms", "spawned worker, request to initializer, bare multiprocessing"),
    "spawn.reported": ("ms", "spawned worker, request to first instruction, as tracekit reports it"),
    "spawn.stamped": ("ms", "spawned worker, request to initializer, tracekit's recorder set up"),
    "spawn.reported.ratio": ("x", "reported over bare: the error of the reported number"),
    "spawn.stamped.ratio": ("x", "stamped over bare: what measuring adds before the first task"),
}
"""Every measurement: its unit, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done; `in_turn` pairs or rounds are made by one child process in each of our rounds."""

    rounds: int
    in_turn: int
    tasks: int
    events: int


FULL = Effort(rounds=5, in_turn=4, tasks=20_000, events=300_000)
QUICK = Effort(rounds=1, in_turn=2, tasks=2_000, events=30_000)

Values = dict[str, list[float]]


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description="Measures tracekit itself.")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--quick", action="store_true", help="one round of little work: does it still run?")
    chosen = parser.parse_args()
    effort = QUICK if chosen.quick else FULL
    values: Values = {name: [] for name in UNITS}
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        write_trace(trace, effort.events)
        for _ in range(effort.rounds):
            measure_help(values, effort)
            measure_report(values, Path(folder))
            measure_parse(values, trace)
            measure_recorder(values, effort)
            measure_spawn(values, effort)
    sys.stdout.write(document(values, effort) if chosen.json else table(values, effort))


def measure_help(values: Values, effort: Effort) -> None:
    """help, help.bare, help.ratio."""
    for bare, ours in help_cost.pairs(effort.in_turn):
        values["help.bare"].append(bare * 1e3)
        values["help"].append(ours * 1e3)
        values["help.ratio"].append(ours / bare)


def measure_report(values: Values, folder: Path) -> None:
    """report.load, report.metrics, report.write; in this process, so without the imports."""
    values["report.load"].append(_milliseconds(lambda: load_suite(SuiteFolder(BUNDLE))))
    tables = suite()

    def compute() -> None:
        tables.metrics = compute_all(Analysis(tables))

    values["report.metrics"].append(_milliseconds(compute))
    values["report.write"].append(_milliseconds(lambda: write(tables, folder / "report")))


def measure_parse(values: Values, trace: Path) -> None:
    """parse.time, parse.speed, parse.peak."""
    said = _child("-m", "tests.bench.parse_cost", str(trace))
    values["parse.time"].append(said["seconds"])
    values["parse.speed"].append(trace.stat().st_size / 1e6 / said["seconds"])
    if said["peak_bytes"] is not None:
        values["parse.peak"].append((said["peak_bytes"] - said["idle_bytes"]) / 2**20)


def measure_recorder(values: Values, effort: Effort) -> None:
    """recorder.run_task, recorder.flush, recorder.readings."""
    for made in _child("-m", "tests.bench.recorder_cost", str(effort.in_turn), str(effort.tasks)):
        values["recorder.run_task"].append(made["run_task_ns"])
        values["recorder.flush"].append(made["flush_ns"])
        values["recorder.readings"].append(made["readings_ns"] / 1e3)


def measure_spawn(values: Values, effort: Effort) -> None:
    """spawn.*"""
    for made in _child("-c", "from tests.bench.spawn_cost import main; main()", str(effort.in_turn)):
        for name in ("bare", "reported", "stamped"):
            values[f"spawn.{name}"].append(made[f"{name}_ns"] / 1e6)
        for name in ("reported", "stamped"):
            values[f"spawn.{name}.ratio"].append(made[f"{name}_ns"] / made["bare_ns"])


def table(values: Values, effort: Effort) -> str:
    """For a person."""
    heads = ("measurement", "unit", "min", "median", "max", "n", "what")
    rows = [heads]
    for row in _rows(values):
        numbers = [_number(row[key]) for key in ("min", "median", "max")]
        rows.append((row["name"], row["unit"], *numbers, str(row["n"]), row["what"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads) - 1)]
    lines = [
        "  ".join(
            [
                *(word.ljust(width) for word, width in zip(row[:2], widths[:2], strict=True)),
                *(word.rjust(width) for word, width in zip(row[2:6], widths[2:], strict=True)),
                row[6],
            ]
        )
        for row in rows
    ]
    about = ", ".join(f"{name} {value}" for name, value in _about(effort).items())
    return "\n".join([*lines, "", about]) + "\n"


def document(values: Values, effort: Effort) -> str:
    """For a program: one JSON document."""
    return json.dumps({"format": 1, **_about(effort), "measurements": _rows(values)}, indent=1) + "\n"


def _rows(values: Values) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "unit": UNITS[name][0],
            "min": min(found),
            "median": statistics.median(found),
            "max": max(found),
            "n": len(found),
            "what": UNITS[name][1],
        }
        for name, found in values.items()
        if found
    ]


def _about(effort: Effort) -> dict[str, Any]:
    return {
        "tracekit": tracekit.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "events": effort.events,
    }


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def _child(*words: str) -> Any:
    """What a Python of its own prints, as JSON."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
