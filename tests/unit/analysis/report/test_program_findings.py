"""What the page of a recorded program says first: the finding with most time to win back, and what to try."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import FEEDER, HOG, MAIN, Rows, rows, section, tables, view, whole
from tracekit.analysis.report.build import build
from tracekit.analysis.report.render.html import to_html
from tracekit.analysis.report.render.markdown import to_markdown
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.views import ReportView
from tracekit.analysis.report.write import write


def shown(found: Rows) -> ReportView:
    return build(tables(found))


def pages(found: ReportView) -> dict[str, str]:
    """The page as each renderer writes it, white space aside."""
    pictures = {figure.slug: b"" for figure in found.every_figure}
    texts = {"terminal": to_text(found), "markdown": to_markdown(found), "html": to_html(found, pictures)}
    return {name: " ".join(text.split()) for name, text in texts.items()}


def test_the_first_finding_stands_right_after_the_headline_with_what_to_try() -> None:
    """The hog holds the GIL for 100 ms at a time, seven times."""
    for name, text in pages(view()).items():
        text = re.sub(r"</?(?:a|span)\b[^>]*>", "", text)
        verdict, finding = text.index("app.py took"), text.index("The GIL was kept for up to 100 ms at a time")
        advice, table = text.index("ProcessPoolExecutor"), text.index("Lifetime")
        assert verdict < finding < advice < table, name
    assert "<code>hog</code>" in pages(view())["html"].split("Lifetime")[0]
    assert "`hog`" in pages(view())["markdown"].split("Lifetime")[0]


def test_programs_read_the_findings_from_a_file(tmp_path: Path) -> None:
    (found,) = [path for path in write(whole(), tmp_path / "report").folder.iterdir() if path.name == "findings.json"]
    first, *_ = json.loads(found.read_text(encoding="utf-8"))
    assert first == asdict(view().findings[0])
    assert (first["diagnostic"], first["weight_ns"]) == ("long-gil-holds", 700_000_000)


def test_what_a_finding_says_of_the_gil_its_section_does_not_say_again() -> None:
    assert section(view(), "attribution").sentences == ()


def gil_wait_of(ms: float) -> ReportView:
    """One wait for the GIL, of so many ms in 1 s."""
    found = rows()
    found["waits"] = [made.wait(FEEDER, "gil", 100, ms, "small", holder=HOG), made.wait(MAIN, "lock", 200, 1, "main")]
    found["holds"] = [made.hold(HOG, 100, 100 + ms, "hog")]
    return shown(found)


def test_where_nothing_is_found_one_sentence_says_so_and_the_gil_is_not_spoken_of() -> None:
    found = gil_wait_of(9)
    (only,) = found.findings
    assert only.sentence == (
        "Nothing kept it waiting: apart from work and sleep, no thread waited for one thing longer than 9.00 ms in all "
        "(feeder, for the GIL)."
    )
    assert section(found, "attribution").sentences == ()


def test_what_no_diagnostic_explains_is_said_as_well() -> None:
    found = rows()
    found["waits"] = [made.wait(FEEDER, "lock", 100, 150, "small")]
    found["holds"] = []
    (only,) = shown(found).findings
    assert only.sentence == (
        "No diagnostic explains this run. Apart from work and sleep, the longest that a thread waited for one thing "
        "was 150 ms in all (feeder, for locks, mostly in `small` (me/app.py:20)): see the wait sites."
    )


def test_a_gil_wait_that_is_worth_a_sentence_and_in_no_finding_has_one() -> None:
    """Three holds of 4 ms each: none is long."""
    found = rows()
    found["waits"] = [made.wait(FEEDER, "gil", at, 4, "small", holder=HOG) for at in (100, 200, 300)]
    found["holds"] = [made.hold(HOG, at, at + 4, "hog") for at in (100, 200, 300)]
    (sentence,) = section(shown(found), "attribution").sentences
    assert "(12.0 ms of 12.0 ms)" in sentence


def test_a_program_whose_waits_were_not_recorded_has_no_finding() -> None:
    found = rows()
    for name in ("waits", "holds"):
        found[name] = []
    found["runs"][0]["capture"] = "py-spy"
    assert shown(found).findings == ()


def test_a_hang_comes_before_a_smaller_finding() -> None:
    """From 300 ms on nothing moved until it was killed at 1 s."""
    found = rows()
    found["processes"][0].update(ended="signal", exit_code=-15)
    found["threads"] = [row for row in found["threads"] if row["pid"] == MAIN]
    found["processes"] = found["processes"][:1]
    found["waits"] = [
        made.wait(MAIN, "lock", 100, 900, "Thread.join"),
        made.wait(HOG, "lock", 200, 800, "hog"),
        made.wait(FEEDER, "gil", 100, 50, "small", holder=HOG),
        made.wait(FEEDER, "io-write", 300, 700, "small"),
    ]
    found["holds"] = [made.hold(HOG, 100, 150, "hog")]
    first, second = shown(found).findings
    assert first.sentence.startswith("From 300 ms after its start nothing moved, until it was killed 700 ms later")
    assert second.sentence.startswith("The GIL was kept for up to 50.0 ms at a time")
