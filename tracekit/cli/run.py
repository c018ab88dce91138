"""tracekit run: plan, measure, report, and say where everything is."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tracekit.bundle.names import split_capture
from tracekit.cli.words import (
    NAMED,
    CommaList,
    NameValue,
    check_with,
    complete_captures,
    complete_workloads,
    others_option,
    parameter_rows,
    store_of,
    store_option,
    store_words,
)
from tracekit.core.errors import UsageError
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.request import DEFAULTS, Request, resolve_request
from tracekit.measure.planning.workload_registry import SUITES, WORKLOADS
from tracekit.workload import SIZES


class _Run(click.Command):
    """Its help ends with the parameters of the workload that is named beside `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[NAMED] = next((word for word in args if word in WORKLOADS), None)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        named = ctx.meta.get(NAMED)
        rows = parameter_rows(named) if named else []
        if rows:
            with formatter.section(f"Parameters of {named}, set with -P"):
                formatter.write_dl(rows)


@click.command(no_args_is_help=True, cls=_Run)
@click.argument("workload", shell_complete=complete_workloads)
@click.option(
    "--models",
    type=CommaList("A,B,...", lambda: MODELS),
    default=",".join(DEFAULTS["models"]),
    show_default=True,
    help="Concurrency models to compare.",
)
@click.option(
    "--workers",
    type=CommaList("N,M,...", integers=True),
    help="Worker counts.  [default: 1, 2, 4 ... up to the usable CPUs]",
)
@click.option("--size", default=DEFAULTS["size"], show_default=True, help=f"Size of the work: {', '.join(SIZES)}.")
@click.option("--items", default="", metavar="EXPR", help="Python expression: the items to call a function with.")
@click.option(
    "-P",
    "--parameter",
    "parameters",
    type=NameValue(),
    multiple=True,
    help="Set a parameter of the workload; `tracekit run WORKLOAD --help` lists them. May be given several times.",
)
@click.option(
    "--capture",
    "captures",
    type=CommaList("A,B,...", complete_captures),
    default=",".join(DEFAULTS["captures"]),
    show_default=True,
    help="How the traced runs are watched, `waits+kernel` by both at once; none makes timings only.",
)
@click.option("--runs", type=int, default=DEFAULTS["runs"], show_default=True, help="Timed repeats of each cell.")
@click.option(
    "--warmup",
    type=click.IntRange(0, 10),
    default=DEFAULTS["warmup"],
    show_default=True,
    help="Warm-up rounds, not counted.",
)
@click.option(
    "--python",
    "pythons",
    type=CommaList("PATH,..."),
    default=None,
    help="Interpreters to measure, 3.9 or newer.  [default: tracekit's own]",
)
@click.option("--provision", is_flag=True, help="Install VizTracer for interpreters that lack it, in a cache.")
@click.option(
    "--controls/--no-controls",
    default=DEFAULTS["controls"],
    help="Run spin, sleep and worker-costs as well: for the ceiling, and for predictions.",
)
@click.option(
    "--counters", default=DEFAULTS["counters"], show_default=True, help="Counter source: auto, linux or portable."
)
@click.option("--seed", type=int, default=DEFAULTS["seed"], show_default=True, help="Seed of the work items.")
@click.option(
    "--timeout",
    type=float,
    default=DEFAULTS["timeout_s"],
    show_default=True,
    help="Seconds after which a run is ended and its processes are reaped.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 1000),
    default=DEFAULTS["rate_hz"],
    show_default=True,
    help="Samples per second of py-spy.",
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder for the report.",
)
@others_option
@click.option("--dry-run", is_flag=True, help="Show the runs and the estimated time, and measure nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@store_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    workload: str,
    pythons: tuple[str, ...] | None,
    provision: bool,
    timeout: float,
    reports: Path,
    others: tuple[str, ...] | None,
    dry_run: bool,
    as_json: bool,
    store: Path | None,
    **_of_the_request: object,
) -> int:
    """Run WORKLOAD under each model: timed runs, untraced and interleaved, then one traced run per model for pictures.

    `tracekit run claims` puts what is said of threads and processes to the test, in under three minutes.

    The captures waits and kernel disturb so little that they run as often as the timed runs and among them.

    WORKLOAD is a name that `tracekit list workloads` shows, or module:attribute in the current folder or on
    PYTHONPATH: a Workload, or a function with --items.

    \b
    Examples:
      tracekit run matmul
      tracekit run hashing --models serial,threads,fork --workers 1,2 --runs 3
      tracekit run matmul --python python3.9,python3.13 --capture none
      tracekit run skewed-tasks -P chunksize=1 -P skew=8
      tracekit run matmul --dry-run
      tracekit run claims
      tracekit run mymodule:WORKLOAD --size smoke
      tracekit run mypackage.mymodule:function --items 'range(100)'
    """
    given = {name for name in ctx.params if (source := ctx.get_parameter_source(name)) and source.name != "DEFAULT"}
    if others:
        check_with(workload)
    if workload in SUITES:
        _check_options_of_suite(ctx, given)
        request = None
    else:
        # A misspelt word is answered before pandas and matplotlib are imported.
        request = resolve_request(_request(ctx.params, given))
    from tracekit import api
    from tracekit.analysis.report.render.terminal import to_text
    from tracekit.cli import Terminated, dry
    from tracekit.cli.progress import progress
    from tracekit.cli.saying import colour

    api.check_writable(reports)
    home = store_of(ctx)
    command = ("tracekit", *_spoken(ctx))
    if request is None:
        prepared = api.prepare_suite(workload, store=home, pythons=pythons or (), timeout_s=timeout, command=command)
    else:
        prepared = api.prepare(request, store=home, pythons=pythons or (), provision=provision, command=command)
    # Before a minute is spent on what they do not fit.
    beside = api.load_others([home.suite(name) for name in others or ()], api.places_of(prepared.suite))
    estimate = api.estimate_duration(prepared.suite, home)
    if dry_run:
        click.echo(dry.document(prepared, estimate) if as_json else dry.text(prepared, estimate))
        return 0
    for item in prepared.notices:
        click.echo(f"{item.severity}: {item.text}\n  try: {item.remedy}", err=True)
    with progress(prepared.suite, estimate, sys.stderr, fancy=colour(sys.stderr)) as shown:
        try:
            outcome = api.measure(prepared, shown.start, shown.end)
        except (KeyboardInterrupt, Terminated):
            again = f"tracekit report {prepared.suite.suite_id}{store_words(store)}"
            shown.say(f"what was measured is kept: {again}")
            raise
        shown.say("computing the report")
        tables = api.analyse(outcome.folder).beside(beside)
        files = api.write_report(tables, reports)
    if as_json:
        click.echo(api.outcome_document(outcome, tables, files))
    else:
        click.echo(to_text(files.view))
        click.echo("")
        click.echo(f"report  {files.html}")
        from tracekit.analysis.view.items import SHOWN

        if any(
            item.status == "ok" and SHOWN.intersection(split_capture(item.spec.capture)) for item in outcome.outcomes
        ):
            click.echo(f"view    {_view_command(outcome.folder.suite_id, store)}")
    return _exit_code(outcome)


_NAMES = {"timeout": "timeout_s", "rate": "rate_hz"}
"""An option whose name says no unit -> the attribute of Request that does."""


def _request(params: dict[str, Any], given: set[str]) -> Request:
    """What the command line asks for; the options that are not given are left to the workload and the defaults."""
    settings = {_NAMES.get(name, name): params[name] for name in given}
    return Request(
        workload=params["workload"],
        items=params["items"],
        **_parameters(params["parameters"]),
        **{name: value for name, value in settings.items() if name in DEFAULTS},
    )


def _parameters(given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`-P a=1 -P b=2 -P b=3` asks for a=1 b=2 and beside it a=1 b=3."""
    values: dict[str, list[str]] = {}
    for name, text in given:
        values.setdefault(name, []).append(text)
    sets = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    return {"parameters": sets[0], "variants": tuple(sets[1:])}


_OPTIONS_OF_SUITES = {"workload", "pythons", "timeout", "reports", "others", "dry_run", "as_json", "store"}
"""The parameters of the command that fit a suite whose experiments choose everything else themselves."""


def _check_options_of_suite(ctx: click.Context, given: set[str]) -> None:
    others = [max(item.opts, key=len) for item in ctx.command.params if item.name in given - _OPTIONS_OF_SUITES]
    if others:
        name = ctx.params["workload"]
        raise UsageError(
            f"the experiments of {name} choose their own models, sizes and repeats: {', '.join(others)} cannot be set",
            f"tracekit run {name}",
        )


def _exit_code(outcome: object) -> int:
    from tracekit.cli import fail
    from tracekit.measure.running.suite_runner import SuiteOutcome

    assert isinstance(outcome, SuiteOutcome)
    failed = [item for item in outcome.outcomes if item.failed]
    if not failed:
        return 0
    first = failed[0]
    log = outcome.folder.bundle(first.spec.run_id).stderr_log
    fail(
        f"{len(failed)} of {len(outcome.outcomes)} runs gave no result; "
        f"{first.spec.workload} under {first.spec.model} {first.reason}",
        f"cat {shlex.quote(str(log))}",
        3,
    )
    return 3


def _view_command(suite_id: str, store: Path | None) -> str:
    return f"tracekit view {suite_id}{store_words(store)}"


def _spoken(ctx: click.Context) -> list[str]:
    """The words of this call, for the report; taken from the parsed options so that it works from Python as well."""
    words = ["run", str(ctx.params["workload"])]
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name == "workload" or source is None or source.name != "COMMANDLINE":
            continue
        value = ctx.params[name]
        option = max(parameter.opts, key=len)
        if value is True:
            words.append(option)
        elif value is False:
            words.append(max(parameter.secondary_opts, key=len))
        elif name == "parameters":
            words += [word for given in value for word in ("-P", "=".join(given))]
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [option, text]
    return words
