"""tracekit doctor: prints what can be measured on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from tracekit.cli import wrap_text, write_stderr, write_stdout
from tracekit.cli.options import get_store, store_option

_COLOURS = {
    "ok": "green",
    "limited": "yellow",
    "missing": "red",
    "fail": "red",
    "inconclusive": "yellow",
    "unavailable": "yellow",
}
GATE_FAILED = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.option("--clean", is_flag=True, help="First remove what a killed tracekit left in tracefs.")
@click.option("--self-test", is_flag=True, help="Measure programs with known answers and compare; half a minute.")
@store_option
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool, clean: bool, self_test: bool, store: Path | None) -> None:
    """Try every counter, capture and tool, and show how to enable what is missing.

    \b
    Examples:
      tracekit doctor
      tracekit doctor --json
      tracekit doctor --clean
      tracekit doctor --self-test
    """
    from tracekit.doctor import clean as clean_tracefs
    from tracekit.doctor import diagnose

    if clean:
        for name in clean_tracefs():
            write_stderr(f"removed {name}")
    if self_test:
        _run_self_test(as_json=as_json)
        return
    findings = diagnose(get_store(ctx))
    if as_json:
        write_stdout(json.dumps([asdict(item) for item in findings], indent=1))
        return
    width = max(len(item.name) for item in findings)
    for item in findings:
        indent = width + 11
        detail = wrap_text(item.detail, indent)
        write_stdout(f"{item.name:<{width}}  ", (f"{item.state:<8}", _COLOURS[item.state]), f" {detail}")
        if item.remedy:
            write_stdout(f"{'':<{indent}}{wrap_text(f'try: {item.remedy}', indent)}")


def _run_self_test(*, as_json: bool) -> None:
    """Print the self-test's checks, or with `as_json` every comparison; exit with 1 when one fails."""
    from tracekit.accuracy.comparison import CHECKS
    from tracekit.accuracy.runner import self_test
    from tracekit.accuracy.table import format_comparison, summarize_verdicts

    terminal = sys.stderr.isatty()
    rows = list(self_test(lambda step: click.echo(f"\r{step}\033[K" if terminal else step, err=True, nl=not terminal)))
    if terminal:
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        write_stdout(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        for check in CHECKS:
            of_check = [row for row in rows if row.check == check]
            if of_check:
                state, detail = summarize_verdicts(of_check)
                write_stdout((f"{state:<11}", _COLOURS[state]), f" {CHECKS[check].title}: {detail}")
        for row in rows:
            if row.verdict in ("fail", "inconclusive"):
                write_stdout(format_comparison(row))
    if any(row.verdict == "fail" for row in rows):
        sys.exit(GATE_FAILED)
