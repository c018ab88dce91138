"""Progress of a suite on stderr: one live line on a terminal, a plain line per round otherwise."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, TextIO

from tracekit.api import DurationEstimate
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.core.units import format_ns
from tracekit.measure.running.captured_run import RunOutcome

_PLAIN_EVERY_S = 5.0


class Progress:
    """Counts runs and estimates the time left from how long each cell took so far."""

    def __init__(self, suite: Suite, estimate: DurationEstimate) -> None:
        self._specs = suite.specs
        self._took = dict(estimate.per_run_ns)
        self._default = estimate.default_ns
        self._skipped: set[tuple[Any, ...]] = set()

    def start(self, number: int, spec: RunSpec) -> None:
        self.show(f"run {number + 1} of {len(self._specs)}  {_describe(spec)}  {self._left(number)} left")

    def end(self, number: int, outcome: RunOutcome) -> None:
        self._took[outcome.spec.cell] = outcome.took_ns
        if outcome.failed:
            self._skipped.add(outcome.spec.cell)
            self.say(f"{_describe(outcome.spec)} {outcome.reason}; its other runs are skipped")
        elif outcome.status != "ok":
            self._skipped.add(outcome.spec.cell)
            self.say(f"{_describe(outcome.spec)} {outcome.reason}; its picture is missing")

    def show(self, line: str) -> None:
        """A line that the next may replace."""
        raise NotImplementedError

    def say(self, line: str) -> None:
        """A line that stays."""
        raise NotImplementedError

    def _left(self, number: int) -> str:
        ahead = [spec for spec in self._specs[number:] if spec.cell not in self._skipped]
        left = sum(self._took.get(spec.cell, self._default) for spec in ahead)
        return format_ns(left) if left < 1e9 else f"{left / 1e9:.0f} s"


class _Plain(Progress):
    def __init__(self, suite: Suite, estimate: DurationEstimate, stream: TextIO) -> None:
        super().__init__(suite, estimate)
        self._stream = stream
        self._last = 0.0

    def show(self, line: str) -> None:
        if time.monotonic() - self._last >= _PLAIN_EVERY_S:
            self.say(line)

    def say(self, line: str) -> None:
        self._last = time.monotonic()
        self._stream.write(line + "\n")
        self._stream.flush()


class _Live(Progress):
    def __init__(self, suite: Suite, estimate: DurationEstimate, status: Any) -> None:
        super().__init__(suite, estimate)
        self._status = status

    def show(self, line: str) -> None:
        self._status.update(line)

    def say(self, line: str) -> None:
        self._status.console.print(line, markup=False, highlight=False)


@contextlib.contextmanager
def progress(suite: Suite, estimate: DurationEstimate, stream: TextIO, *, fancy: bool) -> Iterator[Progress]:
    """The progress that fits `stream`; `fancy` means a terminal that may be coloured and rewritten."""
    if not fancy:
        yield _Plain(suite, estimate, stream)
        return
    from rich.console import Console

    console = Console(file=stream)
    # A slow spinner: the terminal must not cost the measured processes CPU time.
    with console.status("", spinner="line", refresh_per_second=1) as status:
        yield _Live(suite, estimate, status)


def _describe(spec: RunSpec) -> str:
    workers = f"{spec.workers} worker{'s' if spec.workers != 1 else ''}"
    way = "warm-up" if spec.warmup else f"repeat {spec.repeat}" if spec.capture == "none" else f"under {spec.capture}"
    return f"{spec.workload} {spec.model} {workers} ({way}, Python {spec.python_label})"
