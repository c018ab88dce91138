"""tracekit export: writes one table of a suite for other tools."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracekit.cli import write_warning
from tracekit.cli.options import complete_suites, get_store, store_option

_FORMATS = ("csv", "json", "parquet")


@click.command(no_args_is_help=True)
@click.argument("suite", shell_complete=complete_suites)
@click.argument("table", default="metrics")
@click.option(
    "--format",
    "file_format",
    help=f"One of {', '.join(_FORMATS)}.  [default: by the ending of --output, else csv]",
)
@click.option("--output", type=click.Path(path_type=Path), help="File to write.  [default: stdout]")
@store_option
@click.pass_context
def export(
    ctx: click.Context, /, suite: str, table: str, file_format: str | None, output: Path | None, store: Path | None
) -> None:
    """Write TABLE of SUITE: metrics (default), runs, processes, threads, spans, waits, wait_stacks, wakeups, holds,
    sched, counters, slices, samples, notices.

    JSON is a list of row objects; a missing value is null. Times are nanoseconds. In CSV a text that a spreadsheet
    would take for a formula has a ' before it.

    \b
    Examples:
      tracekit export latest metrics --format json
      tracekit export latest slices --format parquet --output slices.parquet
    """
    from tracekit import api
    from tracekit.bundle.store import explained_os_errors
    from tracekit.core.errors import UsageError

    if file_format is None:
        ending = "" if output is None else output.suffix.lstrip(".")
        file_format = ending if ending in _FORMATS else "csv"
    to_terminal = output is None and sys.stdout.isatty()
    if file_format == "parquet" and to_terminal:
        raise UsageError(
            "parquet is binary and stdout is a terminal",
            f"tracekit export {suite} {table} --format parquet --output FILE",
        )
    if store is not None and not store.is_dir():
        raise UsageError(f"there is no folder {store} of suites", f"tracekit export {suite} {table} --output {store}")
    data = api.export(get_store(ctx).suite(suite), table, file_format, warn=write_warning)
    if output is None:
        sys.stdout.buffer.write(data)
        return
    with explained_os_errors(output):
        output.write_bytes(data)
