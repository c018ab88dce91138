"""tracekit explain: what follows from a suite, one subject at a time, with how it was found."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from tracekit.cli.words import complete_suites, store_of, store_option

TOPICS = ("break-even", "prediction", "start-methods")


@click.command(no_args_is_help=True)
@click.argument("topic", type=click.Choice(TOPICS))
@click.argument("suite", default="latest", shell_complete=complete_suites)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@store_option
@click.pass_context
def explain(ctx: click.Context, /, topic: str, suite: str, as_json: bool, store: Path | None) -> None:
    """Say what follows from SUITE, and how that was found.

    break-even: how long a task must be, and how many of them there must be, for processes to be faster than threads and
    serial. prediction: how long the work would take under the other models, from what threads did. start-methods: what
    it would cost under another start method than this Python's own.

    \b
    Examples:
      tracekit explain break-even
      tracekit explain prediction 20261123-143015-matmul
      tracekit explain start-methods --json
    """
    from tracekit import api
    from tracekit.analysis.report.render.terminal import filled, table_text

    told = api.explain(store_of(ctx).suite(suite), topic)
    if as_json:
        document = {"format": 1, "topic": topic, "title": told.title, "sentences": told.sentences, "how": told.how}
        click.echo(json.dumps({**document, "table": asdict(told.table), "metrics": told.metrics}, indent=1))
        return
    click.echo("\n\n".join([*map(filled, told.sentences), table_text(told.table), filled(told.how)]))
