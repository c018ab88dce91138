"""The report as a folder of files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.analysis.report import made_program
from tests.unit.analysis.report.made_numbers import Suite, typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.write import write
from tracekit.core.errors import MeasurementError, OutputUnwritable


def test_a_report_is_a_page_a_text_three_tables_and_its_figures(tmp_path: Path) -> None:
    files = write(typical().tables(), tmp_path / "deep" / "report")
    assert {path.name for path in files.folder.iterdir()} == {
        "index.html",
        "report.md",
        "metrics.csv",
        "metrics.json",
        "metrics.parquet",
        "speedup.png",
        "thread-time.png",
        "worker-start.png",
        "context-switches.png",
        "walls.png",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files.figures)
    assert json.loads(files.json.read_text())
    assert files.view.verdicts[0].outcome == "processes"


def test_json_has_the_numbers_of_cells_and_runs_parquet_and_csv_those_of_threads_too(tmp_path: Path) -> None:
    tables = made_program.tables(made_program.rows())
    files = write(tables, tmp_path)
    whole = pd.read_parquet(files.parquet)
    pd.testing.assert_frame_equal(whole, tables.metrics)
    assert set(whole["scope"]) == {"cell", "run", "process", "thread"}
    assert len(pd.read_csv(files.csv)) == len(whole)
    rows = json.loads(files.json.read_text())
    assert len(rows) == whole["scope"].isin(["cell", "run"]).sum() > 0
    assert {row["scope"] for row in rows} == {"cell", "run"}


def test_writing_again_replaces_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.html").write_text("old")
    files = write(typical().tables(), tmp_path)
    first = files.html.read_bytes()
    assert first.startswith(b"<!DOCTYPE html>")
    assert write(typical().tables(), tmp_path).html.read_bytes() == first
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="cannot write"):
        write(typical().tables(), tmp_path / "file" / "report")


def test_a_suite_without_a_single_run_still_has_a_report(tmp_path: Path) -> None:
    files = write(Suite().tables(), tmp_path)
    assert "No run of matmul gives a number" in files.html.read_text()
    assert files.figures == ()


def test_each_interpreter_has_its_own_figures(tmp_path: Path) -> None:
    suite = typical().cell("serial", python="3.14").cell("fork", python="3.14", speedup=(1.8, 1.7, 1.9))
    names = {path.name for path in write(suite.tables(), tmp_path).figures}
    assert {"speedup-1.png", "speedup-2.png", "walls-1.png", "walls-2.png", "worker-start.png"} <= names


def test_notices_are_given_once_the_gravest_first() -> None:
    suite = typical()
    for severity, text in (("info", "i"), ("warning", "w"), ("error", "e"), ("warning", "w")):
        suite.notices.append({"severity": severity, "code": text, "text": text, "remedy": "do"})
    found = build(suite.tables()).notices
    assert [(item.severity, item.runs) for item in found] == [("error", 1), ("warning", 2), ("info", 1)]


def test_the_subtitle_says_what_where_and_when() -> None:
    view = build(typical().tables())
    assert view.subtitle == "default size · Linux · Python 3.13 · 2 CPUs · 2023-11-14 22:13 UTC"


def test_a_suite_that_lost_its_environment_says_so() -> None:
    suite = typical()
    suite.facts.update(environments=[{}], command=[])
    view = build(suite.tables())
    assert dict(view.environment[0].facts)["Kernel"] == "not recorded"
    assert view.command == ""


@pytest.mark.parametrize("absurd", [pytest.param(10**400, id="huge"), float("inf"), float("nan"), "2", True, None])
def test_an_environment_of_absurd_numbers_still_has_a_report(absurd: object) -> None:
    suite = typical()
    numbers = dict.fromkeys(("load_before", "load_after", "steal_before_ns", "steal_after_ns"), absurd)
    clocks = {"realtime_ns": absurd}
    python = {**suite.facts["environments"][0]["python"], "switch_interval_s": absurd}
    cpus = {"usable_cpus": absurd, "logical_cpus": absurd, "cgroup_cpus": absurd}
    suite.facts["environments"] = [
        {**suite.facts["environments"][0], **numbers, **cpus, "clocks": clocks, "python": python}
    ]
    facts = dict(build(suite.tables()).environment[0].facts)
    assert facts["Operating system"] == "Debian GNU/Linux 12"


def test_doubts_name_what_this_suite_lacks() -> None:
    suite = Suite().cell("serial", n=2, wall_ms=50).cell("threads", n=2, failed=1, gil_wait_ms=(5.0, 0.0, 9.0))
    text = " ".join(build(suite.tables()).caveats)
    assert "2 threads (1 of 3) gave no usable number" in text
    assert "2 usable repeats" in text
    assert "less than 200 ms" in text
    assert "no control was run" in text
    assert "a range here" in text


def test_a_table_of_another_shape_is_refused() -> None:
    tables = typical().tables()
    tables.metrics = tables.metrics.drop(columns="quality")
    with pytest.raises(MeasurementError, match="table metrics lacks quality"):
        build(tables)
