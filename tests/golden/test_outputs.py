"""What people paste and what programs parse, against what was accepted before."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

import tracekit
from tests.conftest import Tracekit
from tests.golden.conftest import Golden, rounded
from tests.table_factory import suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.number_notices import find_notices
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.html import to_html
from tracekit.analysis.report.render.markdown import to_markdown
from tracekit.analysis.report.render.tabular import to_csv, to_json
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.views import ReportView
from tracekit.analysis.tables import Tables, from_rows
from tracekit.system import interpreters


@pytest.fixture(scope="module")
def whole() -> Tables:
    """Five models, two controls, two captures, five repeats; with one fact in it that makes a notice."""
    tables = suite()
    busy = {**tables.suite["environments"][0], "load_before": 3.0}
    tables.suite["environments"] = [busy]
    return with_metrics(tables)


@pytest.fixture(scope="module")
def view(whole: Tables) -> ReportView:
    return build(whole)


@pytest.fixture(scope="module")
def few() -> Tables:
    """Three models, neither controls nor captures: a page and a table that can be read in a diff."""
    return with_metrics(suite(models=("serial", "threads", "spawn"), captures=(), controls=False))


def with_metrics(tables: Tables) -> Tables:
    """As tracekit.api.analyse makes it of loaded tables."""
    tables.metrics = compute_all(Analysis(tables))
    found = [item._asdict() for item in find_notices(Analysis(tables), tables.metrics)]
    if found:
        tables.notices = pd.concat([tables.notices, from_rows("notices", found)], ignore_index=True)
    return tables


def scrubbed(text: str) -> str:
    """Without what every release changes."""
    return text.replace(f"tracekit {tracekit.__version__}", "tracekit VERSION")


def test_terminal(view: ReportView, golden: Golden) -> None:
    golden("terminal.txt", to_text(view) + "\n")


def test_report_md(view: ReportView, golden: Golden) -> None:
    golden("report.md", scrubbed(to_markdown(view)))


def test_index_html_as_it_reads(few: Tables, golden: Golden) -> None:
    view = build(few)
    pictures = {figure.slug: b"" for block in view.figures for figure in block.figures}
    golden("index.txt", scrubbed(Reader().read(to_html(view, pictures))))


def test_metrics_csv(few: Tables, golden: Golden) -> None:
    """Every cell, and every run, process and thread of the first round."""
    first = few.runs.loc[few.runs["repeat"] == 1, "run_id"]
    kept = few.metrics["scope"].eq("cell") | few.metrics["run_id"].isin(first)
    golden("metrics.csv", rounded(to_csv(replace(few, metrics=few.metrics[kept]))))


def test_metrics_json(few: Tables, golden: Golden) -> None:
    """The cell of one model: the numbers are those of metrics.csv, the form is what counts here."""
    kept = few.metrics["scope"].eq("cell") & few.metrics["model"].eq("spawn")
    golden("metrics.json", rounded(to_json(replace(few, metrics=few.metrics[kept]))))


def test_dry_run_json(tracekit: Tracekit, golden: Golden) -> None:
    words = ("--models", "serial,threads,spawn", "--workers", "2", "--runs", "1", "--capture", "viztracer")
    said = tracekit("run", "matmul", *words, "--dry-run", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert re.fullmatch(r"\d{8}-\d{6}-matmul", document["suite_id"])
    assert {run["python"] for run in document["runs"]} == {interpreters.inspect_own().executable}
    text = said.out.replace(document["suite_id"], "SUITE").replace(
        json.dumps(interpreters.inspect_own().executable), '"PYTHON"'
    )
    golden("dry-run.json", re.sub(r"-py\d[^-\"]*", "-pyVERSION", text))


class Reader(HTMLParser):
    """A page as it reads: a line per block or table row, pictures by their description; style is left out."""

    LINES = frozenset(
        {"article", "body", "caption", "details", "div", "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4"}
        | {"header", "li", "main", "p", "pre", "section", "summary", "table", "tbody", "thead", "tr"}
    )
    SILENT = frozenset({"script", "style", "title"})

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._line = ""
        self._silent = False

    def read(self, page: str) -> str:
        """The page's text."""
        self.feed(page)
        self._end_line()
        return "\n".join(self._lines) + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self._silent = tag in self.SILENT
        if tag in self.LINES:
            self._end_line()
        if re.fullmatch(r"h\d", tag):
            self._line = "#" * int(tag[1]) + " "
        elif tag in ("td", "th", "dd") and self._line:
            self._line += " | "
        elif tag == "img":
            self._line += f"[picture: {facts['alt']}]"
        elif tag in ("br", "small", "sup") or (tag == "span" and facts.get("class") != "keep"):
            self._line += " "

    def handle_endtag(self, tag: str) -> None:
        self._silent = False
        if tag in self.LINES and tag != "dt":
            self._end_line()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._line += data

    def _end_line(self) -> None:
        line = " ".join(self._line.split())
        if line.strip("#| "):
            self._lines.append(line)
        self._line = ""
