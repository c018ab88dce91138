"""tracekit doctor: one table of what can be measured here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from tracekit.cli.words import store_of, store_option

_COLOURS = {"ok": "green", "limited": "yellow", "missing": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@store_option
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool, store: Path | None) -> None:
    """Try every counter, capture and tool, and say how to enable what is missing.

    \b
    Examples:
      tracekit doctor
      tracekit doctor --json
    """
    from tracekit.cli import colour
    from tracekit.doctor import diagnose

    findings = diagnose(store_of(ctx))
    if as_json:
        click.echo(json.dumps([asdict(item) for item in findings], indent=1))
        return
    width = max(len(item.name) for item in findings)
    for item in findings:
        state = click.style(f"{item.state:<8}", fg=_COLOURS[item.state])
        click.echo(f"{item.name:<{width}}  {state} {item.detail}", color=colour(sys.stdout))
        if item.remedy:
            click.echo(f"{'':<{width}}  {'':<8} try: {item.remedy}")
