"""`make accuracy`, python -m tracekit.accuracy: measures, prints the table, and writes the file that the docs show."""

from __future__ import annotations

import datetime
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tracekit.accuracy import capture_cost
from tracekit.accuracy.cases import choose_cases
from tracekit.accuracy.comparison import CHECKS, Comparison
from tracekit.accuracy.result import make_result, write_result
from tracekit.accuracy.runner import AccuracyRequest, run_comparisons
from tracekit.accuracy.saved_progress import SavedProgress
from tracekit.accuracy.table import format_comparison, format_summary
from tracekit.core.errors import TracekitError
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter


def _split_words(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--programs", callback=_split_words, help="Only these programs, a list; no costs.")
@click.option("--pythons", callback=_split_words, help="Only these, a list of versions or paths.  [default: all found]")
@click.option("--checks", callback=_split_words, help=f"Only these checks, a list: {', '.join(CHECKS)}.")
@click.option("--cost-pythons", callback=_split_words, help="Measure costs on these.  [default: tracekit's own]")
@click.option("--costs-of", callback=_split_words, help="Only costs of work with one of these words in its name.")
@click.option(
    "--pairs",
    type=click.IntRange(5, 1000),
    default=40,
    show_default=True,
    help=f"Pairs of runs per cost; up to {capture_cost.BATCHES} times as many while it is near its limit, and half as "
    "many where more than 1 % is allowed.",
)
@click.option("--quick", is_flag=True, help="A few programs on tracekit's own Python, no costs.")
@click.option("--all", "every", is_flag=True, help="Print every comparison, also those that are ok.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the result goes.  [default: nowhere]")
@click.option("--continue", "go_on", is_flag=True, help="Continue an interrupted run for this output.")
def main(
    programs: tuple[str, ...],
    pythons: tuple[str, ...],
    checks: tuple[str, ...],
    cost_pythons: tuple[str, ...],
    costs_of: tuple[str, ...],
    pairs: int,
    quick: bool,
    every: bool,
    output: Path | None,
    go_on: bool,
) -> None:
    """Compare what tracekit measures with what programs know of themselves and with the kernel's trace.

    Exit code 1 when a comparison fails.
    """
    if go_on and output is None:
        raise click.UsageError("--continue needs --output: the finished steps are saved beside it")
    wanted = AccuracyRequest(
        cases=choose_cases(programs, quick=quick),
        pythons=_choose_pythons(pythons, [interpreters.inspect_own()] if quick else interpreters.discover()),
        checks=checks or tuple(CHECKS),
        subjects=tuple(
            subject
            for subject in capture_cost.SUBJECTS
            if not costs_of or any(word in f"{subject.name} {subject.capture}" for word in costs_of)
        ),
        cost_pythons=_choose_pythons(cost_pythons, [interpreters.inspect_own()])
        if costs_of or not (quick or programs)
        else (),
        thorough=not quick,
        pairs=pairs,
    )
    progress = None if output is None else SavedProgress(output, _identify_request(wanted), go_on=go_on)
    if go_on and progress is not None:
        click.echo(f"{len(progress)} steps are finished", err=True)
    rows: list[Comparison] = []
    clock = StepClock()
    for row in run_comparisons(wanted, clock.begin, progress):
        rows.append(row)
        if every or row.verdict in ("fail", "inconclusive"):
            click.echo(format_comparison(row))
    click.echo("\n" + format_summary(rows))
    click.echo(f"Time: {clock.format_times()}")
    if output is not None:
        write_result(make_result(rows, f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"), output)
        click.echo(f"\n{output}: {len(rows)} comparisons", err=True)
    if progress is not None:
        progress.remove()
    sys.exit(1 if any(row.verdict == "fail" for row in rows) else 0)


def _identify_request(wanted: AccuracyRequest) -> str:
    """Identify the request: a run continues another only when both have the same."""
    pythons = [[f"{item.label} {item.executable}" for item in some] for some in (wanted.pythons, wanted.cost_pythons)]
    subjects = [f"{subject.name} {subject.capture}" for subject in wanted.subjects]
    cases = [case.name for case in wanted.cases]
    return repr((pythons, cases, wanted.checks, subjects, wanted.thorough, wanted.pairs))


class StepClock:
    """Shows each step as it begins, and adds up how long the steps of each Python took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._step = ""
        self._since = time.monotonic()

    def begin(self, step: str) -> None:
        """The step that runs next: a Python, a colon and what is done."""
        self._end()
        self._step = step
        _show_step(step)

    def format_times(self) -> str:
        """`3.9.18 541 s, 3.11.7 530 s`; steps that an earlier run had finished take none."""
        self._end()
        return ", ".join(f"{python} {seconds:.0f} s" for python, seconds in self._seconds.items()) or "none"

    def _end(self) -> None:
        now = time.monotonic()
        if self._step:
            python = self._step.split(":")[0]
            self._seconds[python] = self._seconds.get(python, 0.0) + now - self._since
        self._step, self._since = "", now


def _show_step(step: str) -> None:
    """Show the step that runs next; on a terminal on one line, which is overwritten."""
    if sys.stderr.isatty():
        click.echo(f"{step}\033[K\r", err=True, nl=False)
    else:
        click.echo(step, err=True)


def _choose_pythons(words: Sequence[str], default: Sequence[Interpreter]) -> tuple[Interpreter, ...]:
    if words:
        return tuple(interpreters.choose(list(words)))
    # One installation may hold the same Python under several names, not all of them links.
    found = {(item.version, Path(item.executable).resolve().parent): item.executable for item in default}
    return tuple(interpreters.choose(list(found.values())))


if __name__ == "__main__":
    # Unwinds like Ctrl-C: what was set up in the kernel is taken down again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main.main(prog_name="make accuracy ARGS=...", standalone_mode=False)
    except (TracekitError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        hint = error.hint if isinstance(error, TracekitError) else "make accuracy ARGS=--help"
        click.echo(f"error: {message}\n  try: {hint}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; with --output, add --continue to continue", err=True)
        sys.exit(130)
