"""tracekit record: run any program as it is, and keep what the captures saw of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from tracekit.bundle.names import PY_SPY, STAGES, split_capture
from tracekit.cli import write_stderr
from tracekit.cli.options import CommaList, complete_captures, format_store_option, get_store

if TYPE_CHECKING:
    from tracekit.measure.running.program_outcome import Recorded

NOT_SHOWN = frozenset({PY_SPY, STAGES})
"""Captures that leave nothing for the viewer; those that do are `view.items.SHOWN`, whose import costs a second."""


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
    help="How it is watched, by all of these at once; none only times it. Only waits and kernel see waits: viztracer "
    "alone leaves a timeline of calls, py-spy alone stack samples, and the report then has the wall and no waits.",
)
@click.option(
    "--duration",
    type=float,
    default=0.0,
    help="Seconds after which it is asked to end: SIGINT, after 5 s SIGTERM, then SIGKILL.  [default: never]",
)
@click.option("--name", default="", help="Name of the suite.  [default: what the program runs: app.py, pytest]")
@click.option("--provision", is_flag=True, help="Install VizTracer for its interpreter, in a cache.")
@click.option(
    "--rate", type=click.IntRange(1, 1000), default=100, show_default=True, help="Samples per second of py-spy."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing at the end but what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Say it as one line of JSON, on stderr too.")
@click.option(
    "-o",
    "--store",
    type=click.Path(path_type=Path),
    envvar="TRACEKIT_HOME",
    help="Folder of the run bundles.  [default: .tracekit]",
)
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
    quiet: bool,
    as_json: bool,
    store: Path | None,
) -> int:
    """Run PROGRAM as it is under the captures, with all its children, and keep what they saw as a suite.

    Its stdin, stdout, stderr, environment, folder and terminal are its own, and its exit code is ours: 128 and the
    number for a signal, 127 when there is no such program, 126 when it cannot be started. Ctrl-C goes to the program;
    tracekit waits for it and then writes the suite. What the program leaves running goes on unrecorded.

    \b
    Examples:
      tracekit record -- python app.py --verbose
      tracekit record -- python3.9 -m package.module
      tracekit record -- pytest -x tests
      tracekit record --duration 30 -- python server.py
      tracekit record --capture waits,viztracer -o /tmp/runs -- make all
    """
    from tracekit.measure.running.program_recorder import record as record_program

    recorded = record_program(
        program,
        store=get_store(ctx),
        captures=captures,
        name=name,
        duration_s=duration,
        provision=provision,
        rate_hz=rate,
        command=_spoken(program, captures, duration, name),
    )
    if as_json:
        write_stderr(_document(recorded))
    else:
        _tell(recorded, quiet, store)
    return _exit_code(recorded)


def _tell(recorded: Recorded, quiet: bool, store: Path | None) -> None:
    from tracekit.core.units import format_ns

    spec = recorded.folder.bundle(recorded.run_id).spec()
    if recorded.status == "failed":
        write_stderr(f"error: {spec.workload} was not recorded: {recorded.reason}")
    elif recorded.reason:
        write_stderr(f"{spec.workload} {recorded.reason}")
    if quiet:
        return
    for item in recorded.notices:
        write_stderr(f"{item.severity}: {item.text}\n  try: {item.remedy}")
    suite = recorded.folder.suite_id + format_store_option(store)
    view = "" if NOT_SHOWN.issuperset(split_capture(spec.capture)) else f", or tracekit view {suite}"
    write_stderr(f"{spec.workload} took {format_ns(recorded.wall_ns)}; next: tracekit report {suite}{view}")


def _document(recorded: Recorded) -> str:
    return json.dumps(
        {
            "format": 1,
            "suite_id": recorded.folder.suite_id,
            "run_id": recorded.run_id,
            "folder": str(recorded.folder.root),
            "status": recorded.status,
            "reason": recorded.reason,
            "exit_code": recorded.exit_code,
            "wall_ns": recorded.wall_ns,
            "processes": recorded.processes,
            "notices": [item._asdict() for item in recorded.notices],
        }
    )


def _exit_code(recorded: Recorded) -> int:
    from tracekit.core.errors import MeasurementError
    from tracekit.measure.running.program_outcome import shell_code

    code = shell_code(recorded.exit_code or 0)
    return code or (MeasurementError.exit_code if recorded.status == "failed" else 0)


def _spoken(program: tuple[str, ...], captures: tuple[str, ...], duration: float, name: str) -> list[str]:
    """The words of this call, for the report."""
    words = ["tracekit", "record", "--capture", ",".join(captures)]
    words += ["--duration", f"{duration:g}"] if duration else []
    words += ["--name", name] if name else []
    return [*words, "--", *program]
