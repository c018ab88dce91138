"""What-if from one run of threads: predictions, break-even, start methods, as `tracekit explain` prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, read_rows, run_tracekit
from tests.real.quick import QUICK, assert_two_lines
from tracekit.analysis.report.pages.comparison import what_if
from tracekit.cli.explain import TOPICS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Threads and fork, and the controls of all process models; in a folder with a blank in its name."""
    here = tmp_path_factory.mktemp("what if")
    words = ("--models", "threads,fork", "--workers", "2", "--size", "small", "--runs", "5", "--capture", "waits")
    said = run_tracekit("run", "nbody", *words, cwd=here)
    assert said.code == 0, said.err
    return here


def explained(folder: Path, *words: str) -> Said:
    return run_tracekit("explain", *words, cwd=folder)


def document(folder: Path, topic: str) -> dict[str, Any]:
    said = explained(folder, topic, "--json")
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def numbers(folder: Path, metric: str) -> list[dict[str, Any]]:
    rows = read_rows(folder, "metrics")
    return [
        row
        for row in rows
        if (row["metric"], row["scope"], row["capture"], row["workload"]) == (metric, "cell", "none", "nbody")
    ]


def test_the_words_of_the_command_are_those_of_the_report() -> None:
    assert set(TOPICS) == set(what_if.TOPICS) == set(what_if.HOW)


@pytest.mark.measures
def test_every_other_model_is_predicted_from_threads(folder: Path) -> None:
    said = explained(folder, "prediction")
    assert said.code == 0, said.err
    for model in ("serial", "processes (fork)", "processes (forkserver)", "processes (spawn)"):
        assert model in said.out
    # Spawn was not run: its prediction stands alone.
    assert "not measured" in said.out
    (predicted,) = [row for row in numbers(folder, "predicted_fork_wall_ns") if row["model"] == "threads"]
    (wall,) = [row for row in numbers(folder, "wall_ns") if row["model"] == "fork"]
    # On a machine whose speed changes twofold from one moment to the next, no more than this is certain.
    assert 0.4 < predicted["value"] / wall["value"] < 2.5
    assert predicted["lower"] <= predicted["value"] <= predicted["upper"]


@pytest.mark.measures
def test_break_even_is_later_for_what_starts_more_slowly(folder: Path) -> None:
    found = document(folder, "break-even")
    assert found["topic"] == "break-even"
    lengths = {
        row["metric"].split("_")[2]: row["value"] for row in found["metrics"] if row["metric"].endswith("_task_ns")
    }
    assert len(found["table"]["groups"][0]["rows"]) == 3
    (sentence,) = found["sentences"]
    if {"fork", "spawn"} <= set(lengths):
        assert 0 < lengths["fork"] < lengths["spawn"]
        assert "2 workers are faster than threads and serial" in sentence
    else:
        # On a machine without a second CPU to spare there is none, and that is said.
        assert any("no task is long enough" in item["text"] for item in found["table"]["legend"])


@pytest.mark.measures
def test_start_methods_say_what_is_measured_and_what_is_not(folder: Path) -> None:
    rows = {
        row["label"]: row["fields"][1]["tag"] for row in document(folder, "start-methods")["table"]["groups"][0]["rows"]
    }
    assert rows == {"fork": "measured", "forkserver": "predicted", "spawn": "predicted"}


@pytest.mark.measures
def test_the_report_has_the_section_and_its_figure(folder: Path) -> None:
    (page,) = (folder / "reports").glob("*/report.md")
    text = page.read_text(encoding="utf-8")
    for title in what_if.TOPICS.values():
        assert title in text
    drawn = page.parent / "break-even.png"
    assert drawn.exists() == ("break-even.png" in text)


@pytest.mark.measures
def test_tasks_wait_in_a_queue_and_workers_between_tasks(folder: Path) -> None:
    for metric in ("queue_wait_ns", "communication_share"):
        found = {row["model"]: row["value"] for row in numbers(folder, metric)}
        assert found["threads"] > 0, metric
        assert found["fork"] > 0, metric
    shares = {row["model"]: row["value"] for row in numbers(folder, "communication_share")}
    assert all(share < 1 for share in shares.values())


def test_what_cannot_be_explained_is_said_in_two_lines(tmp_path: Path) -> None:
    said = run_tracekit("run", "matmul", *QUICK, "--models", "serial,threads", cwd=tmp_path)
    assert said.code == 0, said.err
    assert_two_lines(explained(tmp_path, "break-even"), 5, "no warm-up run")
    assert_two_lines(explained(tmp_path, "no-such-topic"), 2, "no-such-topic")
    assert_two_lines(explained(tmp_path, "prediction", "no-such-suite"), 2, "no-such-suite")
