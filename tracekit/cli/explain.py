"""tracekit explain: explains one result of a suite, with the method behind it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from tracekit.cli import find_width, write_stdout, write_warning
from tracekit.cli.options import complete_suites, get_store, store_option

TOPICS = ("break-even", "prediction", "start-methods")


@click.command(no_args_is_help=True)
@click.argument("topic", type=click.Choice(TOPICS))
@click.argument("suite", default="latest", shell_complete=complete_suites)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@store_option
@click.pass_context
def explain(ctx: click.Context, /, topic: str, suite: str, as_json: bool, store: Path | None) -> None:
    """Explain a result of SUITE, and how it was computed.

    break-even: how long a task must be, and how many tasks there must be, for processes to beat threads and serial.
    prediction: the wall under the other models, predicted from the run with threads. start-methods: the cost of a start
    method other than this Python's default.

    \b
    Examples:
      tracekit explain break-even
      tracekit explain prediction 20261123-143015-matmul
      tracekit explain start-methods --json
    """
    from tracekit import api
    from tracekit.analysis.report.render.terminal import filled, table_text

    told = api.explain(get_store(ctx).suite(suite), topic, warn=write_warning)
    if as_json:
        document = {"format": 1, "topic": topic, "title": told.title, "sentences": told.sentences, "how": told.how}
        write_stdout(json.dumps({**document, "table": asdict(told.table), "metrics": told.metrics}, indent=1))
        return
    width = find_width()
    sentences = [filled(sentence, width) for sentence in told.sentences]
    write_stdout("\n\n".join([*sentences, table_text(told.table, width), filled(told.how, width)]))
