"""tracekit record: run any program unchanged, and keep what the captures saw of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from tracekit.bundle.names import PY_SPY, STAGES, UNTRACED, split_capture
from tracekit.cli import write_stderr
from tracekit.cli.options import (
    CommaList,
    complete_captures,
    format_store_option,
    get_store,
    keep_option,
    lock_options,
    measure_alone,
    remove_old_suites,
    store_option,
    trace_entries_option,
)
from tracekit.core.errors import MeasurementError

if TYPE_CHECKING:
    from tracekit.measure.running.captured_run import RunOutcome

NOT_SHOWN = frozenset({UNTRACED, PY_SPY, STAGES})
"""Captures that leave nothing for the viewer. Those that do are `view.items.SHOWN`, whose import takes a second."""


def _files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


# The first word that is no option ends ours: what follows is the program's, `--` or not.
@click.command(no_args_is_help=True, context_settings={"allow_interspersed_args": False})
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...", shell_complete=_files)
@click.option(
    "--capture",
    "captures",
    type=CommaList("A,B,...", complete_captures),
    default="waits",
    show_default=True,
    help="Captures, all at once; none only times the program. Only waits and kernel record waits: viztracer alone "
    "leaves a timeline of calls, py-spy alone stack samples, and the report then has the wall time and no waits.",
)
@click.option(
    "--duration",
    type=float,
    default=0.0,
    help="Seconds after which the program is ended: by SIGINT, after 5 s SIGTERM, then SIGKILL.  [default: never]",
)
@click.option("--name", default="", help="Name of the suite.  [default: what the program runs: app.py, pytest]")
@click.option("--provision", is_flag=True, help="Install VizTracer for its interpreter, in a cache.")
@click.option(
    "--rate", type=click.IntRange(1, 1000), default=100, show_default=True, help="Samples per second of py-spy."
)
@trace_entries_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing at the end but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the end as one line of JSON, on stderr too.")
@lock_options
@keep_option
@store_option
@click.pass_context
def record(
    ctx: click.Context,
    /,
    program: tuple[str, ...],
    captures: tuple[str, ...],
    duration: float,
    name: str,
    provision: bool,
    rate: int,
    trace_entries: int,
    quiet: bool,
    as_json: bool,
    store: Path | None,
    **_further_options: object,
) -> int:
    """Run PROGRAM unchanged under the captures, with all its children, and keep what they saw as a suite.

    PROGRAM has the caller's stdin, stdout, stderr, environment, folder and terminal, and tracekit ends with its exit
    code: 128 and the number for a signal, 127 when there is no such program, 126 when it cannot be started. Ctrl-C goes
    to the program; tracekit waits for its end and then writes the suite. Processes that outlive the program go on and
    are no longer recorded.

    \b
    Examples:
      tracekit record -- python app.py --verbose
      tracekit record -- python3.9 -m package.module
      tracekit record -- pytest -x tests
      tracekit record --duration 30 -- python server.py
      tracekit record --capture waits,viztracer -o /tmp/runs -- make all
    """
    from tracekit.measure.running.captured_run import to_shell_code
    from tracekit.measure.running.program_recorder import record as record_program

    words = _command_words(program, captures, duration, name)
    with measure_alone(ctx, words):
        outcome = record_program(
            program,
            store=get_store(ctx),
            captures=captures,
            name=name,
            duration_s=duration,
            provision=provision,
            rate_hz=rate,
            trace_entries=trace_entries,
            command=words,
            # The default is a wish: without a compiler the program is timed. A capture that is named has to work.
            may_only_time=ctx.get_parameter_source("captures") is ParameterSource.DEFAULT,
        )
    if as_json:
        write_stderr(_make_document(outcome))
    else:
        _print_outcome(outcome, quiet, store)
    remove_old_suites(ctx)
    if outcome.exit_code:
        return to_shell_code(outcome.exit_code)
    is_known = outcome.exit_code == 0 and outcome.status != "failed"
    return 0 if is_known else MeasurementError.exit_code


def _print_outcome(outcome: RunOutcome, quiet: bool, store: Path | None) -> None:
    from tracekit.core.units import format_ns

    spec = outcome.spec
    if outcome.status == "failed":
        write_stderr(f"error: {spec.workload} was not recorded: {outcome.reason}")
    elif outcome.reason:
        write_stderr(f"{spec.workload} {outcome.reason}")
    elif outcome.exit_code is None and quiet:
        write_stderr(f"the exit code of {spec.workload} is not known: tracekit ends with {MeasurementError.exit_code}")
    if quiet:
        return
    for item in outcome.notices:
        write_stderr(f"{item.severity}: {item.text}\n  try: {item.remedy}")
    suite = outcome.folder.suite_id + format_store_option(store)
    view = "" if NOT_SHOWN.issuperset(split_capture(spec.capture)) else f", or tracekit view {suite}"
    write_stderr(f"{spec.workload} took {format_ns(outcome.wall_ns or 0)}; next: tracekit report {suite}{view}")


def _make_document(outcome: RunOutcome) -> str:
    return json.dumps(
        {
            "format": 1,
            "suite_id": outcome.folder.suite_id,
            "run_id": outcome.run_id,
            "folder": str(outcome.folder.root),
            "status": outcome.status,
            "reason": outcome.reason,
            "exit_code": outcome.exit_code,
            "wall_ns": outcome.wall_ns,
            "processes": outcome.processes,
            "notices": [item._asdict() for item in outcome.notices],
        }
    )


def _command_words(program: tuple[str, ...], captures: tuple[str, ...], duration: float, name: str) -> list[str]:
    """The words of this command line, for the report."""
    words = ["tracekit", "record", "--capture", ",".join(captures)]
    words += ["--duration", f"{duration:g}"] if duration else []
    words += ["--name", name] if name else []
    return [*words, "--", *program]
