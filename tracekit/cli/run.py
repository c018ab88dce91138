"""tracekit run: plan a suite, measure it, write its report, and print where everything is."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekit.bundle.names import split_capture
from tracekit.cli import find_width, write_stderr, write_stdout
from tracekit.cli.options import (
    WORKLOAD_KEY,
    CommaList,
    NameValue,
    check_with_option,
    complete_captures,
    complete_workloads,
    format_store_option,
    get_store,
    keep_option,
    list_parameters,
    lock_options,
    measure_alone,
    others_option,
    remove_old_suites,
    store_option,
    trace_entries_option,
)
from tracekit.core.errors import MeasurementError, UsageError
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.request import DEFAULTS, Request, ResolvedRequest, resolve_request
from tracekit.measure.planning.workload_registry import SUITES, WORKLOADS
from tracekit.workload import SIZES

if TYPE_CHECKING:
    from tracekit.analysis.report.write import ReportFiles
    from tracekit.analysis.tables import Tables
    from tracekit.api import DurationEstimate, Prepared
    from tracekit.measure.running.suite_runner import SuiteOutcome


class _RunCommand(click.Command):
    """A command whose help ends with the parameters of the workload that is named beside `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORKLOAD_KEY] = next((word for word in args if word in WORKLOADS), None)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        named = ctx.meta.get(WORKLOAD_KEY)
        rows = list_parameters(named) if named else []
        if rows:
            with formatter.section(f"Parameters of {named}, set with -P"):
                formatter.write_dl(rows)


@click.command(no_args_is_help=True, cls=_RunCommand)
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
    help="Captures of the traced runs, `waits+kernel` for both in one run; none makes timed runs only.",
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
    "--counters",
    default=DEFAULTS["counters"],
    show_default=True,
    help="Counter source: auto, linux or portable.",
)
@click.option("--seed", type=int, default=DEFAULTS["seed"], show_default=True, help="Seed of the work items.")
@click.option(
    "--timeout",
    type=float,
    default=DEFAULTS["timeout_s"],
    show_default=True,
    help="Seconds after which a run and all its processes are ended.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 1000),
    default=DEFAULTS["rate_hz"],
    show_default=True,
    help="Samples per second of py-spy.",
)
@trace_entries_option
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder for the report.",
)
@others_option
@lock_options
@keep_option
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
    dry_run: bool,
    as_json: bool,
    store: Path | None,
    **_further_options: object,
) -> int:
    """Run WORKLOAD under each model: untraced timed runs, interleaved, then one traced run per model for its timeline.

    `tracekit run claims` tests common claims about threads and processes by experiment, in under three minutes.

    Runs under the captures waits and kernel, whose probe effect is small, are as many as the timed runs and
    interleaved with them.

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
    # A misspelt word is reported before pandas and matplotlib are imported.
    request = _read_request(ctx)
    from tracekit import api
    from tracekit.cli.dry_run import format_json, format_text

    api.check_writable(reports)
    with nullcontext() if dry_run else measure_alone(ctx, ("tracekit", *_command_words(ctx))):
        # After the wait: the suite is named after the time at which it begins.
        prepared, beside = _plan(ctx, request)
        estimate = api.estimate_duration(prepared.suite, get_store(ctx))
        if dry_run:
            write_stdout(format_json(prepared, estimate) if as_json else format_text(prepared, estimate))
            return 0
        for item in prepared.notices:
            write_stderr(f"{item.severity}: {item.text}\n  try: {item.remedy}")
        outcome, tables, files = _measure(prepared, estimate, beside, reports, store)
    if as_json:
        write_stdout(api.make_outcome_document(outcome, tables, files))
    else:
        _print_report(outcome, files, store)
    remove_old_suites(ctx)
    _check_timed_runs(outcome)
    return 0


def _read_request(ctx: click.Context) -> ResolvedRequest | None:
    """The request that the options make; None for a suite of experiments. Raises UsageError."""
    given = {name for name in ctx.params if (source := ctx.get_parameter_source(name)) and source.name != "DEFAULT"}
    if ctx.params["workload"] in SUITES:
        _check_options_of_suite(ctx, given)
        return None
    if ctx.params["others"]:
        check_with_option(ctx.params["workload"])
    return resolve_request(_make_request(ctx.params, given))


def _plan(ctx: click.Context, request: ResolvedRequest | None) -> tuple[Prepared, list[Tables]]:
    """The suite to measure, and the tables of the suites that are judged together with it (`--with`)."""
    from tracekit import api

    home = get_store(ctx)
    pythons, command = ctx.params["pythons"] or (), ("tracekit", *_command_words(ctx))
    if request is None:
        name, timeout_s = ctx.params["workload"], ctx.params["timeout"]
        prepared = api.prepare_suite(name, store=home, pythons=pythons, timeout_s=timeout_s, command=command)
    else:
        prepared = api.prepare(request, store=home, pythons=pythons, provision=ctx.params["provision"], command=command)
    folders = [home.suite(name) for name in ctx.params["others"] or ()]
    # Checked now, and not after minutes of measuring.
    return prepared, api.load_others(folders, api.list_places(prepared.suite))


def _measure(
    prepared: Prepared, estimate: DurationEstimate, beside: list[Tables], reports: Path, store: Path | None
) -> tuple[SuiteOutcome, Tables, ReportFiles]:
    """Measure the suite and write its report, with progress on stderr."""
    from tracekit import api
    from tracekit.cli import Terminated, use_colour
    from tracekit.cli.progress import show_progress

    with show_progress(prepared.suite, estimate, sys.stderr, fancy=use_colour(sys.stderr)) as shown:
        try:
            outcome = api.measure(prepared, shown.start, shown.end)
        except (KeyboardInterrupt, Terminated):
            again = f"tracekit report {prepared.suite.suite_id}{format_store_option(store)}"
            shown.say(f"what was measured is kept: {again}")
            raise
        shown.say("computing the report")
        tables = api.analyse(outcome.folder).join_suites(beside)
        return outcome, tables, api.write_report(tables, reports)


def _print_report(outcome: SuiteOutcome, files: ReportFiles, store: Path | None) -> None:
    """The report as text, and the commands that show more."""
    from tracekit.analysis.report.render.terminal import to_text
    from tracekit.analysis.view.items import SHOWN

    write_stdout(to_text(files.view, find_width()))
    write_stdout("")
    write_stdout(f"report  {files.html}")
    if any(item.status == "ok" and SHOWN & split_capture(item.spec.capture) for item in outcome.outcomes):
        write_stdout(f"view    tracekit view {outcome.folder.suite_id}{format_store_option(store)}")


_ATTRIBUTES = {"timeout": "timeout_s", "rate": "rate_hz"}
"""An option whose name has no unit -> the attribute of Request that has one."""


def _make_request(params: dict[str, Any], given: set[str]) -> Request:
    """The request; options that are not `given` are left to the workload and the defaults."""
    settings = {_ATTRIBUTES.get(name, name): params[name] for name in given}
    return Request(
        workload=params["workload"],
        items=params["items"],
        **_combine_parameters(params["parameters"]),
        **{name: value for name, value in settings.items() if name in DEFAULTS},
    )


def _combine_parameters(assignments: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The request's `parameters` and `variants`: `-P a=1 -P b=2 -P b=3` is a=1 b=2, and beside it a=1 b=3."""
    values: dict[str, list[str]] = {}
    for name, text in assignments:
        values.setdefault(name, []).append(text)
    sets = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    return {"parameters": sets[0], "variants": tuple(sets[1:])}


_SUITE_OPTIONS = {
    "workload",
    "pythons",
    "timeout",
    "reports",
    "others",
    "dry_run",
    "as_json",
    "store",
    "keep",
    "anyway",
    "no_wait",
}
"""The options that apply to a suite whose experiments choose everything else themselves."""


def _check_options_of_suite(ctx: click.Context, given: set[str]) -> None:
    others = [max(item.opts, key=len) for item in ctx.command.params if item.name in given - _SUITE_OPTIONS]
    if others:
        name = ctx.params["workload"]
        raise UsageError(
            f"the experiments of {name} choose their own models, sizes and repeats: {', '.join(others)} cannot be set",
            f"tracekit run {name}",
        )


def _check_timed_runs(outcome: SuiteOutcome) -> None:
    """End with an error about the first timed run that failed, if any did."""
    from tracekit.cli import fail

    failed = [item for item in outcome.outcomes if item.failed]
    if not failed:
        return
    first = failed[0]
    fail(
        f"{len(failed)} of {len(outcome.outcomes)} runs gave no result; "
        f"{first.spec.workload} under {first.spec.model} {first.reason}",
        f"cat {shlex.quote(str(first.bundle.stderr_log))}",
        MeasurementError.exit_code,
    )


def _command_words(ctx: click.Context) -> list[str]:
    """The words of this command line, for the report; made of the parsed options, so also where Python called it."""
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
