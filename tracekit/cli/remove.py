"""tracekit remove: removes suites from the store."""

from __future__ import annotations

import json

import click

from tracekit.cli.options import complete_suites, get_store, store_option


@click.command(no_args_is_help=True)
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...", shell_complete=complete_suites)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@store_option
@click.pass_context
def remove(ctx: click.Context, /, suites: tuple[str, ...], as_json: bool, store: object) -> None:
    """Remove each SUITE with all its runs; their reports stay. A suite that is still running is refused.

    `tracekit run --keep N` and `tracekit record --keep N` remove the oldest ones by themselves.

    \b
    Examples:
      tracekit remove 20261123-143015-matmul
      tracekit remove 20261123 20261124
    """
    from tracekit.cli import write_stdout
    from tracekit.core.units import format_bytes

    home = get_store(ctx)
    found = {suite.root.resolve(): suite for suite in map(home.suite, suites)}
    # All of them or none.
    for suite in found.values():
        suite.check_removable()
    rows = []
    for suite in found.values():
        size = suite.count_bytes()
        suite.remove()
        rows.append({"name": suite.suite_id, "bytes": size})
        if not as_json:
            write_stdout(f"removed {suite.suite_id}, {format_bytes(size)}")
    if as_json:
        write_stdout(json.dumps(rows, indent=1))
