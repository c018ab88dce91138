"""`make predictions`, `python -m tracekit.accuracy.predictions`: compares predicted walls with measured ones.

Each workload runs as for a user: threads and all predicted models in one suite, so that prediction and measurement come
from the same minutes. docs/metrics.md shows the file that this writes.
"""

from __future__ import annotations

import datetime
import json
import platform
import signal
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from tracekit import api
from tracekit.analysis.metrics.predict.prediction import PREDICTED, metric_name
from tracekit.analysis.metrics.predict.task_demand import BASE
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.names import EXECUTORS
from tracekit.bundle.store import Store, explained_os_errors
from tracekit.core.errors import BundleCorrupt, TracekitError
from tracekit.core.units import format_ns
from tracekit.measure.process.watchdog import scratch_prefix
from tracekit.system import machine

DEFAULT_WORKLOADS = (
    "matmul",
    "nbody",
    "json",
    "primes",
    "hashing",
    "compress",
    "files",
    "sockets",
    "mixed",
    "skewed-tasks",
    "memory-per-worker",
    "tiny-tasks",
    "big-results",
)
"""Workloads whose tasks run under every model."""
ALLOWED = 0.15
"""The largest median error that is allowed."""

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionPair:
    """One predicted wall and the measured one, ns; or the reason why there is none."""

    workload: str
    model: str
    predicted: tuple[float | None, float | None, float | None]
    """Lower end, value, upper end."""
    measured: tuple[float | None, float | None, float | None]
    reason: str = ""

    @property
    def error(self) -> float | None:
        """Predicted / measured - 1; None without either."""
        predicted, measured = self.predicted[1], self.measured[1]
        return None if predicted is None or not measured else predicted / measured - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionReport:
    """All pairs, and the machine and Python that they were measured on."""

    made: str
    """Date, UTC."""
    machine: dict[str, Any]
    python: str
    size: str
    workers: int
    pairs: tuple[PredictionPair, ...]


def compare_predictions(tables: Tables, workload: str) -> list[PredictionPair]:
    """Compare the predictions of one analysed suite with its walls, at the largest number of workers."""
    metrics = tables.metrics
    own = metrics[(metrics["scope"] == "cell") & (metrics["workload"] == workload) & (metrics["capture"] == "none")]
    rows = {(row["model"], row["metric"]): row for row in records(own.sort_values("workers", kind="stable"))}
    found = []
    for model in PREDICTED:
        predicted, wall = rows.get((BASE, metric_name(model))), rows.get((model, "wall_ns"))
        reason = "not measured" if predicted is None or wall is None else str(predicted["reason"] or "")
        available = predicted is not None and predicted["quality"] != "unavailable"
        found.append(
            PredictionPair(
                workload=workload,
                model=model,
                predicted=_ends(predicted),
                measured=_ends(wall),
                reason="" if available else reason,
            )
        )
    return found


def _ends(row: dict[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if row is None else (row["lower"], row["value"], row["upper"])


def list_errors(pairs: Iterable[PredictionPair]) -> list[float]:
    """List the absolute errors."""
    return [abs(pair.error) for pair in pairs if pair.error is not None]


def format_markdown(found: PredictionReport) -> str:
    """Format the table in docs/metrics.md."""
    by_workload: dict[str, list[PredictionPair]] = {}
    for pair in found.pairs:
        by_workload.setdefault(pair.workload, []).append(pair)
    sizes = list_errors(found.pairs)
    rows = [f"| workload | {' | '.join(PREDICTED)} |", f"|---|{'---|' * len(PREDICTED)}"]
    rows += [f"| {name} | {' | '.join(map(_cell, pairs))} |" for name, pairs in by_workload.items()]
    machine = found.machine
    return (
        f"Made by `make predictions` on {found.made}: {machine['cpu_model']}, {machine['logical_cpus']} logical CPUs, "
        f"{machine['os_release']}, kernel {machine['kernel']}, Python {found.python}, size {found.size}, "
        f"{found.workers} workers. Predicted wall / measured wall, with the error.\n\n"
        + "\n".join(rows)
        + f"\n\n{_sentence(sizes)} {_reasons(found.pairs)}".rstrip()
        + "\n"
    )


def _cell(pair: PredictionPair) -> str:
    if pair.error is None:
        return "–"
    return f"{format_ns(pair.predicted[1] or 0)} / {format_ns(pair.measured[1] or 0)}, {pair.error:+.0%}"


def _sentence(sizes: Sequence[float]) -> str:
    if not sizes:
        return "Nothing was predicted."
    within = sum(size <= ALLOWED for size in sizes)
    return (
        f"Median error {statistics.median(sizes):.1%} over {len(sizes)} predictions; {within} are within "
        f"{ALLOWED:.0%}, the largest error is {max(sizes):.0%}."
    )


def _reasons(pairs: Iterable[PredictionPair]) -> str:
    reasons: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.reason:
            reasons.setdefault(pair.reason, []).append(pair.workload)
    return " ".join(f"Not predicted: {', '.join(dict.fromkeys(names))} ({why})." for why, names in reasons.items())


def write_report(found: PredictionReport, path: Path) -> None:
    """Write the report as JSON. Raises OutputUnwritable."""
    with explained_os_errors(path):
        path.write_text(json.dumps({"format": _FORMAT, **asdict(found)}, indent=1) + "\n", encoding="utf-8")


def read_report(path: Path) -> PredictionReport:
    """Read a report. Raises BundleCorrupt for a file that write_report did not write."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("another format")
        pairs = tuple(
            PredictionPair(**{**pair, "predicted": tuple(pair["predicted"]), "measured": tuple(pair["measured"])})
            for pair in data.pop("pairs")
        )
        return PredictionReport(**data, pairs=pairs)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleCorrupt(f"{path} is not a report of make predictions: {error}", "make predictions") from error


def _run(workload: str, size: str, runs: int, workers: int, store: Store) -> list[PredictionPair]:
    request = api.Request(
        workload=workload, models=EXECUTORS, workers=(workers,), size=size, captures=("waits",), runs=runs
    )
    prepared = api.prepare(request, store=store)
    api.measure(prepared)
    return compare_predictions(api.analyse(prepared.folder), workload)


def _words(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--workloads", callback=_words, help="Only these, a list.  [default: all that every model can run]")
@click.option("--size", default="default", show_default=True, help="Size of the work.")
@click.option("--runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rounds.")
@click.option("--workers", type=click.IntRange(2, 1024), help="[default: the usable CPUs, at least 2]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the result goes.  [default: nowhere]")
def main(workloads: tuple[str, ...], size: str, runs: int, workers: int | None, output: Path | None) -> None:
    """Run workloads under every model and compare the walls with those predicted from their threads.

    Exit code 1 when the median error is larger than 15 %.
    """
    count = workers or max(2, machine.count_usable_cpus())
    pairs: list[PredictionPair] = []
    with TemporaryDirectory(prefix=scratch_prefix()) as folder:
        for workload in workloads or DEFAULT_WORKLOADS:
            click.echo(f"{workload}, size {size}, {count} workers", err=True)
            of_workload = _run(workload, size, runs, count, Store(Path(folder)))
            pairs += of_workload
            for pair in of_workload:
                click.echo(f"{workload:18} {pair.model:11} {pair.reason or _cell(pair)}")
    facts = machine.describe()
    found = PredictionReport(
        made=f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        machine={name: facts[name] for name in ("os_release", "kernel", "machine", "cpu_model", "logical_cpus")},
        python=platform.python_version(),
        size=size,
        workers=count,
        pairs=tuple(pairs),
    )
    sizes = list_errors(pairs)
    click.echo("\n" + _sentence(sizes))
    if output is not None:
        write_report(found, output)
    sys.exit(0 if sizes and statistics.median(sizes) <= ALLOWED else 1)


if __name__ == "__main__":
    # Unwinds like Ctrl-C: what is being measured is ended and removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main.main(prog_name="make predictions ARGS=...", standalone_mode=False)
    except (TracekitError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        hint = error.hint if isinstance(error, TracekitError) else "make predictions ARGS=--help"
        click.echo(f"error: {message}\n  try: {hint}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
