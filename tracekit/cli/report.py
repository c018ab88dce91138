"""tracekit report: writes the report of a suite again from its bundles."""

from __future__ import annotations

from pathlib import Path

import click

from tracekit.cli import find_width, write_stdout
from tracekit.cli.options import check_with_option, complete_suites, get_store, others_option, store_option


@click.command()
@click.argument("suite", default="latest", shell_complete=complete_suites)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder for the report.",
)
@click.option(
    "--window",
    metavar="FROM..TO",
    default="",
    help="Of a recorded program: only this part of its time, like 8s..12s, 500ms.., ..12s or MARK..MARK.",
)
@others_option
@store_option
@click.pass_context
def report(
    ctx: click.Context, /, suite: str, reports: Path, window: str, others: tuple[str, ...] | None, store: Path | None
) -> None:
    """Write the report of SUITE (an id, an unambiguous prefix of one, or latest) as HTML, PNG, Markdown, CSV,
    JSON and Parquet.

    \b
    Examples:
      tracekit report
      tracekit report latest --window 8s..12s
      tracekit report 20261123 --reports /tmp/reports
      tracekit report 20261123-143015-claims --with /mnt/from-windows/20261122-091500-claims
    """
    from tracekit import api
    from tracekit.analysis.report.render.terminal import to_text

    home = get_store(ctx)
    tables = api.analyse(home.suite(suite), window)
    if others:
        check_with_option(str(tables.suite.get("workload")))
        tables = tables.join_suites(api.load_others([home.suite(name) for name in others], api.list_places(tables)))
    files = api.write_report(tables, reports)
    write_stdout(to_text(files.view, find_width()))
    write_stdout("")
    write_stdout(f"report  {files.html}")
