"""Programs with known answers, really run and really captured: the self-test that users have, and other Pythons.

A busy machine makes a comparison inconclusive, so these hold on any machine; see tracekit/accuracy/comparison.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Said, find_pythons, run_tracekit
from tracekit.accuracy import capture_cost
from tracekit.accuracy.cases import CASES, choose_cases
from tracekit.accuracy.comparison import CHECKS, COSTS, Comparison
from tracekit.accuracy.runner import SELF_TEST_CHECKS, AccuracyRequest, run_comparisons
from tracekit.accuracy.table import format_comparison
from tracekit.accuracy.watched_run import PROGRAMS, record_case, watch_case
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import Provision, load_capture
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter

NEED_KERNEL = ("gil-kernel", "gil-holds", "switches")


@pytest.fixture(scope="module")
def self_test(tmp_path_factory: pytest.TempPathFactory) -> Said:
    need("waits", interpreters.inspect_own())
    return run_tracekit("doctor", "--self-test", "--json", cwd=tmp_path_factory.mktemp("self test"))


@pytest.mark.measures
@pytest.mark.parametrize("check", SELF_TEST_CHECKS)
def test_the_self_test_compares_and_nothing_fails(self_test: Said, check: str) -> None:
    rows = [Comparison(**row) for row in self_test.rows() if row["check"] == check]
    compared = [row for row in rows if row.verdict != "unavailable"]
    if not compared and check in NEED_KERNEL:
        need("kernel", interpreters.inspect_own())
        pytest.skip(rows[0].reason)
    assert compared, rows
    assert any(row.verdict == "ok" for row in compared), "\n".join(map(format_comparison, compared))
    failed = [format_comparison(row) for row in compared if row.verdict == "fail"]
    assert not failed, "\n".join(failed)


@pytest.mark.measures
def test_the_self_test_s_exit_code_and_words_are_for_people(self_test: Said) -> None:
    assert self_test.code == 0, self_test.err
    assert "spinners-2 under waits" in self_test.err


PYTHONS = {item.version: item for item in find_pythons()}


def test_another_python_is_measured_as_well(other_python: Interpreter, tmp_path: Path) -> None:
    need("waits", other_python)
    wanted = AccuracyRequest(
        cases=choose_cases(("spinners-2", "endings")),
        pythons=(other_python,),
        checks=SELF_TEST_CHECKS,
        scratch=short(tmp_path),
    )
    rows = list(run_comparisons(wanted))
    failed = [format_comparison(row) for row in rows if row.verdict == "fail"]
    assert not failed, "\n".join(failed)
    checks = {row.check for row in rows if row.verdict in ("ok", "inconclusive")}
    assert checks >= {"runs", "waits-known", "unattributed", "sites", "processes"}


@pytest.mark.parametrize("name", sorted({case.program for case in CASES}))
def test_a_program_says_what_it_is_about(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tracekit.accuracy.programs", name, "--help"], capture_output=True, text=True, check=True
    )
    assert f"usage: python -m tracekit.accuracy.programs {name}" in done.stdout


@pytest.mark.parametrize(
    ("name", "options", "checks"),
    [
        ("gil-mutex-busy", "--beside 8", {"gil-kernel", "gil-switch"}),
        ("spinners-short-interval", "--threads 4 --switch-interval 0.0001 --beside 2", {"gil-kernel", "gil-holds"}),
        ("loop-hog", "", {"gil-kernel", "gil-holds"}),
        ("loop-hog-busy", "--beside 8", {"gil-kernel", "gil-holds"}),
    ],
)
def test_the_gil_is_compared_at_load_with_a_short_switch_interval_and_beside_an_event_loop(
    name: str, options: str, checks: set[str]
) -> None:
    [case] = choose_cases((name,))
    assert " ".join(case.options) == options
    assert checks <= set(case.checks or CHECKS)


def test_spinners_take_turns_by_the_switch_interval_that_they_are_given(tmp_path: Path) -> None:
    own = interpreters.inspect_own()
    need("waits", own)
    [case] = choose_cases(("spinners-short-interval",))
    seen = watch_case(case, own, "waits", short(tmp_path))
    intervals = seen.tables.processes["switch_interval_ns"].dropna()
    assert [50_000 < interval <= 100_000 for interval in intervals] == [True]
    assert len(seen.known.children) == 2


@pytest.mark.parametrize("python", PYTHONS.values(), ids=lambda item: item.label)
def test_a_program_runs_alone_by_its_path(python: Interpreter, tmp_path: Path) -> None:
    """On a Python that has no tracekit, from another folder, and without writing anything but its answer."""
    done = subprocess.run(
        [python.executable, "-B", str(PROGRAMS), "lock", "--times", "1", "--held", "0.05"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    by_name = {thread["name"]: thread for thread in answer["threads"]}
    assert by_name["waiter"]["waits"]["lock"] >= 50_000_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.measures
@pytest.mark.parametrize(
    "subject",
    [
        capture_cost.Subject(work=capture_cost.make_workload("spin", "serial"), capture="waits", most=0.01),
        capture_cost.Subject(work=capture_cost.make_workload("hashing", "fork"), capture="waits", most=0.01),
        capture_cost.Subject(
            work=capture_cost.make_storm("handover-storm", "HANDOVER", "threads"), capture="waits", most=0.03
        ),
        capture_cost.Subject(
            work=capture_cost.make_workload("spin", "threads"), capture="waits", most=0.01, at_once=False
        ),
    ],
    ids=lambda item: f"{item.name} {'at once' if item.at_once else 'one by one'}",
)
def test_a_cost_is_a_ratio_of_pairs_with_an_interval(subject: capture_cost.Subject, tmp_path: Path) -> None:
    own = interpreters.inspect_own()
    need("waits", own)
    # The storm is long enough for its threads to meet, and has no smaller size.
    size = "small" if subject.work.name == "handover-storm" else "smoke"
    rows = capture_cost.measure_cost(subject, own, pairs=5, size=size, scratch=short(tmp_path))
    assert [row.check for row in rows] == list(COSTS)
    for row in rows:
        assert row.measured is not None
        assert row.lower is not None
        assert row.upper is not None
        assert row.lower <= row.measured <= row.upper
        # How much it is a noisy machine does not tell; that two runs of the same work were compared it does.
        assert 0.2 < row.measured < 5


def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who is not root."""

    def refuse(*_arguments: object) -> None:
        raise CaptureUnavailable("only root may", "sudo")

    monkeypatch.setattr(type(load_capture("kernel")), "preflight", refuse)


def test_without_the_kernel_what_programs_know_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = interpreters.inspect_own()
    need("waits", own)
    without_kernel(monkeypatch)
    rows = list(
        run_comparisons(
            AccuracyRequest(
                cases=choose_cases(("lock",)), pythons=(own,), checks=SELF_TEST_CHECKS, scratch=short(tmp_path)
            )
        )
    )
    by_check: dict[str, set[str]] = {}
    for row in rows:
        by_check.setdefault(row.check, set()).add(row.verdict)
    assert by_check["gil-kernel"] == by_check["switches"] == {"unavailable"}
    assert by_check["runs"] == by_check["sites"] == {"ok"}
    assert by_check["waits-known"] <= {"ok", "inconclusive"}


def test_a_program_that_a_capture_does_not_watch_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`record` continues without a capture that does not work; the accuracy run must not."""
    own = interpreters.inspect_own()
    need("waits", own)
    without_kernel(monkeypatch)
    with pytest.raises(CaptureUnavailable, match="was recorded under waits, not waits"):
        record_case(choose_cases(("lock",))[0], own, "waits+kernel", short(tmp_path))


def test_make_accuracy_says_what_it_does_not_know(tmp_path: Path) -> None:
    for words, said in ((["--programs", "nope"], "'nope'"), (["--checks", "nope"], "'nope'"), (["--nope"], "--nope")):
        done = subprocess.run(
            [sys.executable, "-m", "tracekit.accuracy", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert said in done.stderr.splitlines()[0]
        assert done.stderr.splitlines()[1].startswith("  try: make accuracy")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda item: item.name)
def test_it_can_be_stopped_while_a_program_runs(number: signal.Signals, tmp_path: Path) -> None:
    own = interpreters.inspect_own()
    need("waits", own)
    words = ["--programs", "sleepers,lock", "--pythons", own.executable, "--checks", "runs,waits-known"]
    with subprocess.Popen(
        [sys.executable, "-m", "tracekit.accuracy", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "sleepers under" in process.stderr.readline()
        wait_for_program(process.pid)
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "lock under" not in rest
    assert list(tmp_path.glob("tk-*")) == []


def wait_for_program(pid: int) -> None:
    """Until the process has a child that is a reference program with its threads at work."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):
                if str(PROGRAMS) in child.cmdline() and child.num_threads() > 2:
                    return
        time.sleep(0.01)
    pytest.fail("no reference program was started")


def need(capture: str, python: Interpreter) -> None:
    """Skip, with the hint, where the capture does not work for this Python."""
    try:
        load_capture(capture).preflight(python, Provision())
    except CaptureUnavailable as error:
        pytest.skip(f"{error}; try: {error.hint}")


def short(folder: Path) -> Path:
    """Where the suites of one test go."""
    scratch = folder / "runs"
    scratch.mkdir()
    return scratch
