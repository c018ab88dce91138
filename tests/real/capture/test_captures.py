"""The captures on real runs: what they leave, what they say, and that they never hide how the program ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Tracekit
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import CAPTURES, Provision
from tracekit.measure.process.launch import link_packages
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.measure.running.captured_run import RunOutcome
from tracekit.measure.running.suite_runner import run_one
from tracekit.system import interpreters, machine


@pytest.fixture
def import_folder(tmp_path: Path) -> Path:
    """What a measured process may import: tracekit, the workloads and the faulty ones."""
    folder = tmp_path / "import"
    link_packages(folder, {name: ROOT / name for name in ("tracekit", "workloads")})
    shutil.copy(ROOT / "tests" / "faulty_workloads.py", folder / "faulty.py")
    return folder


def make_run(import_folder: Path, target: str, **facts: Any) -> tuple[RunOutcome, dict[str, Any], Bundle]:
    """One run outside any suite: its outcome, manifest and bundle."""
    spec = RunSpec(
        **{
            "suite_id": "s",
            "run_id": "001-run",
            "workload": "faulty",
            "workload_target": target,
            "size": "smoke",
            "model": "serial",
            "workers": 1,
            "python": sys.executable,
            "timeout_s": 60.0,
            **facts,
        }
    )
    bundle = Bundle(import_folder.parent / spec.run_id)
    with start_watchdog() as watchdog:
        outcome = run_one(spec, bundle, import_folder, machine.describe(), watchdog)
    return outcome, bundle.manifest(), bundle


def py_spy_or_skip() -> None:
    try:
        CAPTURES.load("py-spy").preflight(interpreters.inspect_own(), Provision())
    except CaptureUnavailable as error:
        pytest.skip(f"{error}; try: {error.hint}")


@pytest.mark.parametrize(
    ("target", "status", "code", "words"),
    [
        ("faulty:PRINTS", "ok", 0, ""),
        ("faulty:RAISES", "failed", 1, "ValueError: item 0 is bad"),
        ("faulty:IS_KILLED", "killed", None, "left no exit code"),
        ("faulty:LEAVES", "killed", None, "left no exit code"),
    ],
)
def test_pyspy_does_not_hide_how_the_program_ended(
    import_folder: Path, target: str, status: str, code: int | None, words: str
) -> None:
    """py-spy returns 0 in every one of these cases."""
    py_spy_or_skip()
    outcome, manifest, _ = make_run(import_folder, target, capture="py-spy")
    assert outcome.status == status, outcome.reason
    assert words in outcome.reason
    assert manifest["exit_code"] == code
    assert ("exit-code-unknown" in [item[0] for item in manifest["notices"]]) == (code is None)


def test_pyspy_samples_every_process_and_its_idle_threads(import_folder: Path) -> None:
    py_spy_or_skip()
    outcome, _, bundle = make_run(
        import_folder, "workloads.sleep:WORKLOAD", capture="py-spy", model="spawn", start_method="spawn", workers=2,
        size="default",
    )  # fmt: skip
    assert outcome.status == "ok", outcome.reason
    profiles = json.loads((bundle.raw / "pyspy.speedscope.json").read_text())["profiles"]
    processes = {name.split()[1] for name in (profile["name"] for profile in profiles) if name.startswith("Process")}
    workers = {path.stem for path in bundle.streams.glob("[0-9]*.jsonl")}
    assert workers <= processes, (workers, processes)


@pytest.mark.parametrize("model", ["threads", "fork", "spawn", "forkserver"])
def test_viztracer_leaves_one_file_per_process_with_its_own_ids(import_folder: Path, model: str) -> None:
    outcome, manifest, bundle = make_run(
        import_folder,
        "workloads.matmul:WORKLOAD",
        capture="viztracer",
        model=model,
        start_method="" if model == "threads" else model,
        workers=2,
    )
    assert outcome.status == "ok", outcome.reason
    assert manifest["notices"] == []
    traces = sorted(bundle.raw.glob("viztracer-*.json"))
    assert len(traces) == (1 if model == "threads" else 3)
    for path in traces:
        pid = int(path.stem.partition("-")[2])
        calls = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
        assert {event["pid"] for event in calls} == {pid}
        # A forked worker once carried its parent's thread id.
        assert pid in {event["tid"] for event in calls}


def test_a_worker_that_leaves_at_once_lacks_its_trace_and_the_run_says_so(import_folder: Path) -> None:
    _, manifest, _ = make_run(
        import_folder, "faulty:LEAVES", capture="viztracer", model="fork", start_method="fork", workers=2
    )
    assert manifest["status"] == "failed"
    assert "BrokenProcessPool" in manifest["reason"]


def test_a_missing_tool_is_a_notice_and_the_suite_goes_on(tracekit: Tracekit, tmp_path: Path) -> None:
    """Without py-spy on this machine: an environment whose PATH and scripts folder have none."""
    code = (
        "import sys, types; from tracekit.measure.capture import pyspy; "
        "pyspy.shutil = types.SimpleNamespace(which=lambda *a, **k: None); "
        "from tracekit.cli import main; main(sys.argv[1:])"
    )
    words = ("run", "spin", "--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--models", "serial")
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--capture", "py-spy,viztracer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "py-spy is not installed" in done.stderr
    assert "pip install py-spy" in done.stderr
    report = next(tmp_path.glob("reports/*/report.md")).read_text()
    assert "py-spy is not installed" in report.replace("\\", "")


def test_a_tool_that_fails_during_the_run_costs_its_picture_only(tmp_path: Path) -> None:
    """py-spy passes its trial and then refuses every real run, as when a sandbox looks at the arguments."""
    tool = tmp_path / "py-spy"
    tool.write_text('#!/bin/sh\ncase "$*" in *speedscope*) echo refused >&2; exit 1;; esac\n')
    tool.chmod(0o755)
    code = (
        "import sys, types; from tracekit.measure.capture import pyspy; "
        f"pyspy.shutil = types.SimpleNamespace(which=lambda *a, **k: {str(tool)!r}); "
        "from tracekit.cli import main; main(sys.argv[1:])"
    )
    words = ("run", "spin", "--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--models", "serial")
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--capture", "py-spy,viztracer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "there is no trace of it" in done.stderr
    report = next(tmp_path.glob("reports/*/report.md")).read_text()
    assert "serial-w1" in report
    assert len(list(tmp_path.glob(".tracekit/*/*-viztracer/raw/viztracer-*.json"))) == 1
