"""tracekit list: lists the names that other commands take, each with one line of description."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from tracekit.bundle.store import Store
from tracekit.cli import wrap_text, write_stdout
from tracekit.cli.options import get_store, store_option
from tracekit.core.errors import NothingToDo, TracekitError
from tracekit.core.registry import Registry
from tracekit.core.units import format_bytes

Rows = list[dict[str, Any]]


@click.group(name="list", no_args_is_help=True)
def listing() -> None:
    """List workloads, models, captures, metrics, suites or Pythons.

    \b
    Examples:
      tracekit list workloads
      tracekit list suites --json
    """


def _registered(registry: Registry) -> Rows:
    return [{"name": name, "summary": registry.summary(name)} for name in registry]


def _workloads(store: Store) -> Rows:
    from tracekit.measure.planning.workload_registry import summaries

    return [{"name": name, "summary": summary} for name, summary in summaries().items()]


def _parameters(workload: str) -> dict[str, Any]:
    """A workload's parameters; null for one of another package, which is not imported for a listing."""
    from tracekit.measure.planning.workload_registry import WORKLOADS

    if workload not in WORKLOADS:
        return {"parameters": None}
    return {
        "parameters": [
            {
                "name": item.name,
                "summary": item.summary,
                "default": item.default,
                "unit": item.unit,
                "allowed": item.allowed(),
            }
            for item in WORKLOADS.load(workload).parameters
        ]
    }


def _models(store: Store) -> Rows:
    from tracekit.measure.inside.models import MODELS

    return _registered(MODELS)


def _captures(store: Store) -> Rows:
    from tracekit.measure.capture import CAPTURES

    return _registered(CAPTURES)


def _metrics(store: Store) -> Rows:
    from tracekit.analysis.metrics import METRICS

    return _registered(METRICS)


def _pages(store: Store) -> Rows:
    from tracekit.analysis.report.pages import PAGES

    return _registered(PAGES)


def _pythons(store: Store) -> Rows:
    from tracekit.system.interpreters import discover

    return [
        {"name": item.executable, "summary": f"CPython {item.version}{' free-threaded' if item.free_threaded else ''}"}
        for item in discover()
    ]


def _suites(store: Store) -> Rows:
    rows = []
    for suite in store.suites():
        size = suite.count_bytes()
        try:
            facts = suite.facts()
            # A recorded program has no size.
            what = f"{facts.get('workload')} {facts.get('size')}".rstrip()
            runs = len(facts.get("runs", []))
            summary = f"{what}, {runs} run{'s' if runs != 1 else ''}, {facts.get('status')}, {format_bytes(size)}"
        except TracekitError as error:
            summary = f"unreadable: {error}"
        rows.append({"name": suite.suite_id, "summary": summary, "bytes": size})
    if not rows:
        raise NothingToDo(f"there is no suite in {store.root}", "tracekit run matmul")
    return rows


def _add(
    name: str, help_text: str, rows: Callable[[Store], Rows], more: Callable[[str], dict[str, Any]] = lambda name: {}
) -> None:
    """Add a command that lists these rows; `more` gives the further keys of --json."""

    @click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
    @store_option
    @click.pass_context
    def command(ctx: click.Context, /, as_json: bool, store: object) -> None:
        found = rows(get_store(ctx))
        if as_json:
            write_stdout(json.dumps([{**row, **more(row["name"])} for row in found], indent=1))
            return
        width = max(len(row["name"]) for row in found)
        for row in found:
            write_stdout(f"{row['name']:<{width}}  {wrap_text(row['summary'], width + 2)}")

    command.__doc__ = help_text
    listing.command(name=name)(command)


_add("workloads", "List the workloads that can be run.", _workloads, _parameters)
_add("models", "List the concurrency models.", _models)
_add("captures", "List the captures: how a run can be observed.", _captures)
_add("metrics", "List the metrics that are computed.", _metrics)
_add("pages", "List the report pages that a workload may name.", _pages)
_add("suites", "List the measured suites with their size on disk, oldest first.", _suites)
_add("pythons", "List the CPythons that can be measured: pyenv's and those on PATH.", _pythons)
