"""A capture that fails costs its own run, never the suite; and never what a recorded program did."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tracekit.bundle.store import Store, SuiteFolder
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.planning.plan import plan_suite
from tracekit.measure.planning.request import Request, resolve_request
from tracekit.measure.running.captured_run import RunOutcome
from tracekit.measure.running.program_recorder import record
from tracekit.measure.running.suite_runner import run_suite
from tracekit.system.interpreters import inspect_own

PLACE = "tests.faulty_captures:"


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        ("REFUSES", "the tool refused"),
        ("FAILS_AT_THE_END", "the tool broke"),
        ("CANNOT_BE_READ", "the tool's file is cut off"),
    ],
)
def test_a_run_fails_with_its_captures_reason_and_the_suite_goes_on(tmp_path: Path, capture: str, reason: str) -> None:
    request = Request(
        workload="spin", models=("serial", "threads"), workers=(1,), size="smoke", runs=1, warmup=0, controls=False
    )
    python = inspect_own()
    allowed = {(PLACE + capture, python.label): "", ("viztracer", python.label): ""}
    suite = plan_suite(resolve_request(request), [python], "s", allowed, ())
    outcome = run_suite(suite, SuiteFolder(tmp_path / "s"))
    assert outcome.status == "ok"
    assert {(item.spec.capture, item.status) for item in outcome.outcomes} == {
        ("none", "ok"),
        (PLACE + capture, "failed"),
        ("viztracer", "ok"),
    }
    for item in outcome.outcomes:
        manifest = outcome.folder.bundle(item.spec.run_id).manifest()
        assert manifest["status"] == item.status
        assert manifest["reason"] == (reason if item.status == "failed" else "")


def recorded(folder: Path, capture: str) -> RunOutcome:
    return record(
        [sys.executable, "-c", "open('ran', 'w').close(); raise SystemExit(3)"],
        store=Store(folder / "store"),
        captures=(PLACE + capture,),
        cwd=folder,
    )


def test_a_program_is_not_run_when_its_capture_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(CaptureUnavailable, match="the tool refused"):
        recorded(tmp_path, "REFUSES")
    assert not (tmp_path / "ran").exists()
    assert Store(tmp_path / "store").suites() == []


@pytest.mark.parametrize(
    ("capture", "reason"),
    [("FAILS_AT_THE_END", "the tool broke"), ("CANNOT_BE_READ", "the tool's file is cut off")],
)
def test_a_program_that_ran_keeps_its_exit_code(tmp_path: Path, capture: str, reason: str) -> None:
    found = recorded(tmp_path, capture)
    assert (found.exit_code, found.status, found.reason) == (3, "failed", reason)
    manifest = found.folder.bundle(found.run_id).manifest()
    assert (manifest["exit_code"], manifest["status"], manifest["reason"]) == (3, "failed", reason)
    assert found.folder.facts()["status"] == "failed"


def test_ctrl_c_before_the_program_begins_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path, "INTERRUPTED_BEFORE")
    assert not (tmp_path / "ran").exists()
    assert Store(tmp_path / "store").suites() == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_after_the_program_ended_does_not_cost_the_record(tmp_path: Path) -> None:
    found = recorded(tmp_path, "INTERRUPTED_AFTER")
    assert (found.exit_code, found.status) == (3, "ok")
    assert found.folder.bundle(found.run_id).manifest()["exit_code"] == 3
    assert not signal.sigpending()
