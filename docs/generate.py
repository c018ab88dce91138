"""Writes the generated parts of docs/: tables of metrics, notices and commands, from the code that uses them.

`python docs/generate.py` writes, `--check` only says whether something is stale (exit 1). A generated part stands
between `<!-- generated: NAME -->` and `<!-- end -->`; everything around it is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import click

from tracekit.accuracy import predictions
from tracekit.accuracy.comparison import CHECKS
from tracekit.accuracy.result import read_result
from tracekit.accuracy.table import markdown
from tracekit.analysis.diagnostics import DIAGNOSTICS
from tracekit.analysis.diagnostics.engine import load_diagnostic
from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import Metric
from tracekit.analysis.report.glossary import TERMS
from tracekit.analysis.report.pages import PAGES
from tracekit.analysis.tables import COLUMNS
from tracekit.bundle import stream_schema
from tracekit.bundle.spec import value_text
from tracekit.cli import cli
from tracekit.core.notices import NOTICES, NoticeKind
from tracekit.core.registry import Registry
from tracekit.measure.capture import CAPTURES
from tracekit.measure.inside.counters import COUNTERS
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.workload import Workload

DOCS = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def metrics_part() -> str:
    """A section per metric, from the Metric values."""
    sections = []
    for name in METRICS:
        metric = METRICS.load(name)
        sections.append(
            f"### {metric.name}\n\n{metric.summary}\n\n"
            f"Unit: {metric.unit} · better: {metric.better} · needs: {', '.join(metric.needs)} · "
            f"valid on: {metric.valid_on}{_name_compared(metric)}\n\n{metric.method}\n"
        )
    return "\n".join(sections)


def _name_compared(metric: Metric) -> str:
    """How `make accuracy` compares the metric with an independent truth."""
    if metric.computed_from:
        return f" · computed from: {', '.join(metric.computed_from)}"
    checks = [name for name, check in CHECKS.items() if metric.name in check.metrics]
    if metric.measured and not checks:
        raise SystemExit(f"nothing compares {metric.name} with a truth: see CHECKS in tracekit/accuracy/comparison.py")
    return f" · compared by: {', '.join(checks) or 'make predictions'}"


def notices_part() -> str:
    """One row per notice."""
    rows = ["| code | severity | cause | effect | remedy |", "|---|---|---|---|---|"]
    rows += [
        f"| `{code}` | {kind.severity} | {kind.cause} | {_effects(kind)} | {_remedies(kind)} |"
        for code, kind in NOTICES.items()
    ]
    return "\n".join(rows) + "\n"


def _effects(kind: NoticeKind) -> str:
    return f"{kind.effect}; of a program: {kind.effect_of_program}" if kind.effect_of_program else kind.effect


def _remedies(kind: NoticeKind) -> str:
    of_program = f"; of a program: {kind.remedy_of_program}" if kind.remedy_of_program else ""
    return f"{kind.remedy}{of_program}".replace("|", "/")


def commands_part() -> str:
    """The help text of every command."""
    context = _context(cli, None, "tracekit")
    parts = [_help(cli, context)]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts.append(_help(command, _context(command, context, name)))
    return "\n".join(parts)


def tables_part() -> str:
    """The columns of every table."""
    rows = ["| table | columns |", "|---|---|"]
    rows += [f"| {name} | {' '.join(columns)} |" for name, columns in COLUMNS.items()]
    return "\n".join(rows) + "\n"


def records_part() -> str:
    """A table per kind of stream record, from the annotations and the strings below them."""
    source = ast.parse(inspect.getsource(stream_schema))
    records = {node.name: node for node in source.body if isinstance(node, ast.ClassDef)}
    return "\n".join(_record(kind, records[record.__name__]) for kind, record in stream_schema.RECORDS.items())


def _record(kind: str, node: ast.ClassDef) -> str:
    rows = ["| key | type | |", "|---|---|---|"]
    for key, text in pairwise(node.body):
        if isinstance(key, ast.AnnAssign):
            assert isinstance(text, ast.Expr)
            assert isinstance(text.value, ast.Constant)
            absent = "" if key.value is None else ", may be absent"
            meaning = " ".join(str(text.value.value).split())
            rows.append(
                f"| `{ast.unparse(key.target)}` | {_json_type(ast.unparse(key.annotation))}{absent} | {meaning} |"
            )
    return f"### `{kind}`\n\n{ast.get_docstring(node)}\n\n" + "\n".join(rows) + "\n"


_JSON_TYPES = {
    "Count": "integer from 0",
    "Signed": "integer",
    "Reading": "number",
    "str": "text",
    "bool": "true or false",
    "dict[str, Any]": "object",
}


def _json_type(annotation: str) -> str:
    kind, null, _ = annotation.partition(" | None")
    return _JSON_TYPES[kind] + (" or null" if null else "")


def names_part() -> str:
    """What stands in the registries."""
    registries: list[Registry] = [WORKLOADS, MODELS, CAPTURES, COUNTERS, PAGES]
    lines = []
    for registry in registries:
        lines += [f"### {registry.point}", "", "| name | summary |", "|---|---|"]
        lines += [f"| `{name}` | {registry.summary(name)} |" for name in registry]
        lines.append("")
    return "\n".join(lines)


def workloads_part() -> str:
    """A section per workload: what its file says of it, its parameters and what it observes."""
    return "\n".join(_workload(import_module(WORKLOADS.target(name).split(":")[0])) for name in WORKLOADS)


def _workload(module: ModuleType) -> str:
    workload: Workload = module.WORKLOAD
    _, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    # Each of `Shows: `, `Claim: ` and so on begins a line of the docstring, and here a point of a list.
    said = re.sub(r"^(?=[A-Z][a-z ]+: )", "- ", text, flags=re.MULTILINE)
    parts = [f"### {workload.name}\n", f"{_sentence(workload.summary)} Kind: {workload.kind}.\n", f"{said}\n"]
    if workload.invariant:
        parts.append(f"Instead of equal results: {workload.invariant}.\n")
    if workload.parameters:
        rows = [
            f"| `{item.name}` | {item.summary} | {item.allowed()} | {value_text(item.default)} | {item.unit} |"
            for item in workload.parameters
        ]
        parts.append("\n".join(["| parameter | | may be | default | unit |", "|---|---|---|---|---|", *rows]) + "\n")
    if workload.observables:
        rows = [
            f"| `{item.what}` | {item.summary} | {item.unit or 'text'} | "
            f"{' '.join(f'`{name}`' for name in item.dimensions)} |"
            for item in workload.observables
        ]
        parts.append("\n".join(["| observes | | unit | by |", "|---|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def accuracy_part() -> str:
    """What `make accuracy` found, from the file that it wrote."""
    return markdown(read_result(DOCS / "accuracy.json"))


def predictions_part() -> str:
    """What `make predictions` found, from the file that it wrote."""
    return predictions.format_markdown(predictions.read_report(DOCS / "predictions.json"))


def diagnostics_part() -> str:
    """A section per diagnostic, from the Diagnostic values."""
    sections = []
    for name in DIAGNOSTICS:
        diagnostic = load_diagnostic(name)
        sections.append(f"### {name}\n\n{diagnostic.looks_for} {diagnostic.silent}\n")
    return "\n".join(sections)


def glossary_part() -> str:
    """One row per term."""
    rows = ["| term | meaning |", "|---|---|", *(f"| {term} | {text} |" for term, text in TERMS.items())]
    return "\n".join(rows) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "metrics": metrics_part,
    "notices": notices_part,
    "commands": commands_part,
    "tables": tables_part,
    "records": records_part,
    "names": names_part,
    "workloads": workloads_part,
    "accuracy": accuracy_part,
    "predictions": predictions_part,
    "glossary": glossary_part,
    "diagnostics": diagnostics_part,
}


def renew(text: str) -> str:
    """The page with its generated parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match['name']]()}{match[3]}", text)


def main() -> int:
    """Write or check every page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    check = parser.parse_args().check
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = renew(text)
        if fresh != text:
            stale.append(page)
            if not check:
                page.write_text(fresh, encoding="utf-8")
    if check and stale:
        names = ", ".join(page.name for page in stale)
        sys.stderr.write(f"stale: {names}\n  try: make docs\n")
        return 1
    return 0


def _context(command: click.Command, parent: click.Context | None, name: str) -> click.Context:
    return click.Context(
        command,
        parent=parent,
        info_name=name,
        max_content_width=100,
        terminal_width=100,
        help_option_names=["-h", "--help"],
    )


def _help(command: click.Command, context: click.Context) -> str:
    return f"### {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
