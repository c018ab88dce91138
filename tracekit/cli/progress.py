"""Shows the progress of a suite on stderr: one live line on a terminal, otherwise a plain line every few seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tracekit.api import DurationEstimate
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.core.units import format_ns
from tracekit.core.visible_text import make_visible
from tracekit.measure.running.captured_run import RunOutcome

_INTERVAL_S = 5.0


class ProgressLine:
    """The current run, and the time left as estimated from the runs so far."""

    def __init__(self, suite: Suite, estimate: DurationEstimate) -> None:
        self._specs = suite.specs
        self._took = dict(estimate.per_run_ns)
        self._default = estimate.default_ns
        self._skipped: set[tuple[Any, ...]] = set()

    def start(self, number: int, spec: RunSpec) -> None:
        self.show(f"run {number + 1} of {len(self._specs)}  {_describe_run(spec)}  {self._left(number)} left")

    def end(self, number: int, outcome: RunOutcome) -> None:
        self._took[outcome.spec.cell] = outcome.took_ns
        if outcome.failed:
            self._skipped.add(outcome.spec.cell)
            self.say(f"{_describe_run(outcome.spec)} {outcome.reason}; its other runs are skipped")
        elif outcome.status != "ok":
            self._skipped.add(outcome.spec.cell)
            self.say(f"{_describe_run(outcome.spec)} {outcome.reason}; there is no trace of it")

    def show(self, line: str) -> None:
        """Show a line that the next one may replace."""
        raise NotImplementedError

    def say(self, line: str) -> None:
        """Print a line that stays."""
        raise NotImplementedError

    def _left(self, number: int) -> str:
        ahead = [spec for spec in self._specs[number:] if spec.cell not in self._skipped]
        left = sum(self._took.get(spec.cell, self._default) for spec in ahead)
        return format_ns(left) if left < 1e9 else f"{left / 1e9:.0f} s"


class PlainProgress(ProgressLine):
    def __init__(self, suite: Suite, estimate: DurationEstimate, stream: TextIO) -> None:
        super().__init__(suite, estimate)
        self._stream = stream
        self._last = 0.0

    def show(self, line: str) -> None:
        if time.monotonic() - self._last >= _INTERVAL_S:
            self.say(line)

    def say(self, line: str) -> None:
        self._last = time.monotonic()
        # A reader that has gone, or a terminal, is no reason to end a measurement.
        with contextlib.suppress(OSError):
            self._stream.write(make_visible(line, one_line=True) + "\n")
            self._stream.flush()


class LiveProgress(ProgressLine):
    def __init__(self, suite: Suite, estimate: DurationEstimate, status: Any, text: Callable[[str], Any]) -> None:
        super().__init__(suite, estimate)
        self._status, self._text = status, text

    def show(self, line: str) -> None:
        # rich takes a str for markup, in which a name such as `work[2]` loses its end.
        self._status.update(self._text(make_visible(line, one_line=True)))

    def say(self, line: str) -> None:
        self._status.console.print(self._text(make_visible(line, one_line=True)))


@contextlib.contextmanager
def show_progress(suite: Suite, estimate: DurationEstimate, stream: TextIO, *, fancy: bool) -> Iterator[ProgressLine]:
    """Show progress on `stream`; `fancy` means a terminal whose line may be coloured and replaced."""
    if not fancy:
        yield PlainProgress(suite, estimate, stream)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream)
    # A slow spinner, so that the terminal takes no CPU time from the measured processes.
    with console.status("", spinner="line", refresh_per_second=1) as status:
        yield LiveProgress(suite, estimate, status, Text)


def _describe_run(spec: RunSpec) -> str:
    workers = f"{spec.workers} worker{'s' if spec.workers != 1 else ''}"
    kind = "warm-up" if spec.warmup else f"repeat {spec.repeat}" if spec.capture == "none" else f"under {spec.capture}"
    return f"{spec.workload} {spec.model} {workers} ({kind}, Python {spec.python_label})"
