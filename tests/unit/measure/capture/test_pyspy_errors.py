"""What py-spy says of its own errors becomes a notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import Provision, pyspy
from tracekit.measure.capture.pyspy import CAPTURE
from tracekit.system import interpreters

SAID = "py-spy> Wrote speedscope file to '/tmp/x'. Samples: {} Errors: {}\npy-spy> Visit https://www.speedscope.app/\n"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (SAID.format(1, 105), "could not read the process 105 times, and read 1 stacks"),
        (SAID.format(97, 3), "could not read the process 3 times, and read 97 stacks"),
        (SAID.format(98, 2), ""),
        # The last summary counts; what a program prints before is not py-spy's.
        (SAID.format(1, 105) + SAID.format(300, 0), ""),
        ("x" * 200_000 + SAID.format(10, 10), "10 times"),
        ("Samples: 1 Errors: ", ""),
        ("", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize(("capture", "remedy"), [("py-spy+kernel", "leave out capture kernel"), ("py-spy", "--rate")])
def test_errors_of_pyspy_are_told(tmp_path: Path, log: str | None, told: str, capture: str, remedy: str) -> None:
    names = dict.fromkeys(("suite_id", "run_id", "workload", "workload_target", "size", "model"), "w")
    spec = RunSpec(**names, workers=1, capture=capture)
    bundle = Bundle(tmp_path)
    bundle.raw.mkdir()
    bundle.pyspy_profile.write_text("{}")
    if log is not None:
        bundle.tool_log.write_text(log)
    notices = CAPTURE.collect(spec, bundle, [])
    assert [notice.code for notice in notices] == ["samples-failed"] * bool(told)
    assert all(told in notice.text and remedy in notice.remedy for notice in notices)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no program", "py-spy does not run: cannot start"),
        ("#!/bin/sh\necho refused\nexit 1\n", "py-spy was refused: refused"),
        ("#!/bin/sh\nexit 7\n", "py-spy was refused: exit code 7"),
        ("#!/bin/sh\nsleep 600\n", "py-spy does not end"),
    ],
)
def test_a_trial_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    tool = tmp_path / "py-spy"
    tool.write_text(text)
    tool.chmod(0o755)
    monkeypatch.setattr(pyspy, "_find_binary", lambda: str(tool))
    monkeypatch.setattr(pyspy, "_TRIAL_S", 0.5 if "sleep" in text else 30)
    with pytest.raises(CaptureUnavailable, match=told):
        CAPTURE.preflight(interpreters.inspect_own(), Provision())
