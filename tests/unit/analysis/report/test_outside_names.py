"""Names that a measured program chose, in every file of a report."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.analysis.report import made_program
from tracekit.analysis.report.render.tabular import encode_csv
from tracekit.analysis.report.write import write

ESC, RIGHT_TO_LEFT = "\x1b", "\u202e"
FUNCTION = f"=HYPERLINK(1){ESC}[2J{RIGHT_TO_LEFT}行列\x00"
THREAD = f"@feeder{ESC}]0;title\x07"


def test_no_file_of_a_report_has_a_character_that_acts_and_nothing_is_said_of_glyphs(tmp_path: Path) -> None:
    given = made_program.rows()
    for table in ("waits", "holds"):
        for row in given[table]:
            row["function"] = FUNCTION
    given["threads"][2]["name"] = THREAD
    given["runs"][0]["workload"] = f"+app{ESC}c.py"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = write(made_program.tables(given), tmp_path)
    binary = {*files.figures, files.parquet}
    texts = {path.name: path.read_bytes().decode() for path in files.folder.iterdir() if path not in binary}
    assert set(texts) >= {"index.html", "report.md", "metrics.csv", "attribution.csv", "wait.collapsed.txt"}
    for name, text in texts.items():
        assert not {ESC, RIGHT_TO_LEFT, "\0", "\x07"} & set(text), name
    for name in ("index.html", "wait.collapsed.txt", "attribution.csv"):
        assert r"\x1b[2J\u202e行列\x00" in texts[name], name
    for name in (name for name in texts if name.endswith(".csv")):
        cells = {cell for row in csv.reader(io.StringIO(texts[name])) for cell in row}
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))], name


def test_a_formula_becomes_text_and_a_number_stays_one() -> None:
    texts = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\uff1d1+1", "-", "-1.5", "+3", "plain", None]
    frame = pd.DataFrame({"text": texts, "number": [-1.5, *[2.0] * 10], "count": range(-5, 6)})
    rows = list(csv.reader(io.StringIO(encode_csv(frame))))
    assert rows[0] == ["text", "number", "count"]
    changed = ["'=1+1", "'+cmd|' /C calc'!A0", "'-2+3", "'@SUM(1)", "'\t=1", "'\uff1d1+1", "'-"]
    assert [row[0] for row in rows[1:]] == [*changed, "-1.5", "+3", "plain", ""]
    assert rows[1][1:] == ["-1.5", "-5"]


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_every_kind_of_text_column_is_guarded(dtype: str) -> None:
    assert encode_csv(pd.DataFrame({"a": pd.Series(["=1", "x", None], dtype=dtype)})) == 'a\n\'=1\nx\n""\n'
