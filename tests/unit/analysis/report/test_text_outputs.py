"""HTML, Markdown, CSV and JSON."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from tests.unit.analysis.report.made_numbers import Suite, typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.html import keep_together, set_prose, to_html
from tracekit.analysis.report.render.markdown import escaped, to_markdown
from tracekit.analysis.report.render.tabular import to_csv, to_json
from tracekit.analysis.report.render.terminal import to_text

HOSTILE = "<script>alert(1)</script>\"'|`[x](javascript:1)\n# {{ 7 * 7 }} &lt;"


class Page(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(suite: Suite) -> tuple[str, Page]:
    view = build(suite.tables())
    pictures = {figure.slug: b"png" for block in view.figures for figure in block.figures}
    text = to_html(view, pictures)
    return text, Page(text)


def hostile() -> Suite:
    suite = Suite(HOSTILE).cell("serial").cell(HOSTILE, python=HOSTILE, speedup=(1.2, 1.1, 1.3))
    suite.cell("threads", lacks={"cpu_ns": HOSTILE})
    suite.notices.append({"severity": HOSTILE, "code": HOSTILE, "text": HOSTILE, "remedy": HOSTILE})
    suite.facts["environments"][0] = {**suite.facts["environments"][0], "cpu_model": HOSTILE}
    return suite


def test_a_hostile_name_stays_text_in_html() -> None:
    text, page = page_of(hostile())
    # Ours alone, which reads no names.
    assert page.named("script") == [{}]
    assert text.count("<script") == 1
    assert "{{ 7 * 7 }}" in "".join(page.words)
    assert HOSTILE.split("\n")[0] in "".join(page.words)
    assert {attributes.get("class") for attributes in page.named("li")} <= {None, "info"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_a_hostile_name_stays_text_in_markdown() -> None:
    whole = to_markdown(build(hostile().tables()))
    # The command stands in a fence that is longer than any in it.
    text = re.sub(r"^(`{3,})console\n.*?^\1$", "", whole, flags=re.MULTILINE | re.DOTALL)
    assert len(text) < len(whole)
    assert "<script" not in text
    assert "](javascript" not in re.sub(r"\\\]", "", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_the_page_needs_nothing_else() -> None:
    text, page = page_of(typical())
    assert all(image["src"] and image["src"].startswith("data:image/png;base64,") for image in page.named("img"))
    assert all(image["alt"] for image in page.named("img"))
    assert [link["href"] for link in page.named("link")] == ["data:,"]
    assert "http://" not in text
    assert "https://" not in text


def test_the_policy_allows_the_own_style_sheet_and_script_only() -> None:
    text, page = page_of(typical())
    (policy,) = [item["content"] for item in page.named("meta") if item.get("http-equiv")]
    css, script = (text.split(f"<{tag}>")[1].split(f"</{tag}>")[0] for tag in ("style", "script"))
    digests = [base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() for own in (css, script)]
    assert policy is not None
    assert policy.startswith(
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; img-src data:"
    )
    assert all("style" not in attributes for _, attributes in page.tags)


def test_the_page_has_its_parts_in_order() -> None:
    text, page = page_of(typical())
    assert page.named("html") == [{"lang": "en"}]
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert headings == [
        "Figures",
        "Notices",
        "When not to trust it",
        "How each number was obtained",
        "Environment",
        "The exact command",
        "Every number",
    ]
    words = re.sub(r"\s+", " ", "".join(page.words))
    assert "On 2 CPUs, 2 processes (fork) run matmul 1.82x as fast as serial (95 % interval 1.74–1.90, n = 5)" in words
    assert "Python 3.13" in words
    assert "tracekit run matmul" in words


def test_a_notice_without_a_remedy_shows_none() -> None:
    suite = typical()
    for text, remedy in (("busy", "wait until idle"), ("short", "")):
        suite.notices.append({"severity": "warning", "code": text, "text": text, "remedy": remedy})
    view = build(suite.tables())
    assert to_text(view).endswith("warning: busy\n  try: wait until idle\n\nwarning: short")
    assert "- **warning** busy. Remedy: wait until idle\n- **warning** short.\n" in to_markdown(view)
    assert "".join(page_of(suite)[1].words).count("Remedy:") == 1


@pytest.mark.parametrize("width", [60, 80, 100, 120, 180])
def test_the_text_fits_the_terminal_and_says_the_same_in_each_form(width: int) -> None:
    view = build(typical().tables())
    lines = to_text(view, width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(to_text(view, width).split())
    for field in (field for group in view.summary.groups for row in group.rows for field in row.fields):
        assert field.main in text
        assert field.sub in text
    forms = {
        60: "  Wall: 800 ms (784–816 ms)",
        120: "  one thread       784–816 ms",
        180: "serial (one thread)            800 ms",
    }
    if width in forms:
        assert any(line.startswith(forms[width]) for line in lines)


def test_numbers_and_units_are_kept_on_one_line() -> None:
    assert keep_together("a <b> 1.74–1.90 s, n = 5") == (
        'a &lt;b&gt; <span class="keep">1.74–1.90 s</span>, <span class="keep">n = 5</span>'
    )
    assert set_prose("span `run` < 1 s") == 'span <code>run</code> &lt; <span class="keep">1 s</span>'


def test_markdown_has_verdict_table_figures_and_command() -> None:
    text = to_markdown(build(typical().tables()))
    assert text.startswith("# matmul\n")
    assert "**On 2 CPUs, 2 processes (fork) run matmul 1.82x as fast as serial" in text
    assert (
        "| **processes (fork)**, 2 workers | 440 ms (431–449 ms) | 1.82x (1.74–1.90) | \\~93 % (90–100 % of 1.95x) |"
        in text
    )
    assert re.findall(r"\]\(([\w-]+\.png)\)", text) == [
        "speedup.png",
        "thread-time.png",
        "worker-start.png",
        "context-switches.png",
        "walls.png",
    ]
    assert "```console\ntracekit run matmul\n```" in text
    # A lone tilde opens a strike-through on GitHub.
    assert "\\~0.99x" in text


def test_markdown_escapes_what_it_would_read_as_markup() -> None:
    assert escaped("a_b*c|d\ne <i> ~1x") == "a\\_b\\*c\\|d e &lt;i&gt; \\~1x"


def test_csv_holds_every_row_and_column() -> None:
    tables = typical().tables()
    back = pd.read_csv(io.StringIO(to_csv(tables)))
    assert list(back.columns) == list(tables.metrics.columns)
    assert len(back) == len(tables.metrics)


def test_json_has_null_and_never_nan() -> None:
    tables = typical().cell("dask", lacks={"cpu_ns": "not read"}).tables()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    rows = json.loads(to_json(tables), parse_constant=refuse)
    assert len(rows) == len(tables.metrics)
    assert rows[-1]["value"] is None
    assert rows[-1]["reason"] == "not read"
    assert rows[0]["n"] == 5
    assert json.loads(to_json(Suite().tables())) == []
