"""Ctrl-C, SIGTERM and SIGKILL in the middle of a suite: what was measured is kept, and nobody is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.real.leftovers import (
    abandoned_segments,
    assert_nothing_left,
    command_lines,
    measured_processes,
    processes_with,
)
from tests.real.quick import QUICK
from tests.recording import needs, until
from tracekit.bundle.store import Store


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_keeps_what_was_measured(faulty: Path, number: signal.Signals) -> None:
    """Ctrl-C while the second cell runs: the first one is kept and reported, nobody is left, exit 130."""
    command = ["run", "faulty:SLEEPS_A_LITTLE", "--size", "smoke", "--runs", "3", "--warmup", "0", "--no-controls"]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tracekit",
            *command,
            "--capture",
            "none",
            "--models",
            "threads,fork",
            "--workers",
            "40",
        ],
        cwd=faulty,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    def second_run_started() -> bool:
        started = any(faulty.glob(".tracekit/*/002-*/streams/*.jsonl"))
        assert started or process.poll() is None
        return started

    until(second_run_started, "the second run starts")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in out + err
    assert not measured_processes(faulty)
    folder = next(faulty.glob(".tracekit/*/suite.json"))
    assert json.loads(folder.read_text())["status"] == "interrupted"
    again = subprocess.run(
        [sys.executable, "-m", "tracekit", "report"], cwd=faulty, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "The suite was interrupted after 2 of 6 runs." in " ".join(again.stdout.split())
    assert "what was measured is kept" in err


def test_nothing_is_left_when_tracekit_itself_is_killed(faulty: Path) -> None:
    """SIGKILL leaves tracekit no chance; its guard ends the measured processes."""
    before = abandoned_segments()
    command = ["run", "faulty:HANGS", *QUICK, "--models", "spawn"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tracekit", *command],
        cwd=faulty,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    until(lambda: len(list(faulty.glob(".tracekit/*/001-*/streams/*.jsonl"))) >= 3, "the workers start")
    assert len(measured_processes(faulty)) >= 3
    process.kill()
    process.wait()
    until(lambda: not measured_processes(faulty), "the measured processes are gone")
    (suite,) = Store(faulty / ".tracekit").suites()
    assert suite.facts()["status"] == "interrupted"
    assert_nothing_left(faulty, before)


def test_ctrl_c_during_the_first_import_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tracekit", "doctor"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    until((tmp_path / "begun").exists, "the import begins")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == -signal.SIGINT


@pytest.fixture
def temporary() -> Iterator[Path]:
    """For temporary files, with a path that has room for the names of sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def running(
    folder: Path, temporary: Path, *words: str, program: Sequence[str] = ("-m", "tracekit")
) -> tuple[subprocess.Popen[bytes], str]:
    """A `tracekit WORDS` in that folder, and the variable by which it and all that it starts are known."""
    name = "TRACEKIT_TESTED_BY"
    process = subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, name: str(folder), "TMPDIR": str(temporary)},
    )
    return process, f"{name}={folder}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda item: item.name)
def test_the_programs_of_crash_are_ended_as_well(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    """They lead process groups of their own, and a pool of one has workers when the signal comes."""
    before = abandoned_segments()
    process, mark = running(tmp_path, temporary, "run", "crash", "--size", "smoke")

    def a_pool_is_at_work() -> bool:
        # Forked workers have the words of their program.
        pools = [words for words in command_lines(mark) if {"ProcessPoolExecutor", "Pool"}.intersection(words)]
        return len(pools) > len(set(map(tuple, pools)))

    until(a_pool_is_at_work, "a pool has workers")
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGINT else -number)
    until(lambda: not processes_with(mark), "all of them are gone")
    assert_nothing_left(tmp_path, before)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda item: item.name)
def test_who_is_asked_about_a_module_is_ended_as_well(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    """Before anything is measured: an import that never ends."""
    (tmp_path / "endless.py").write_text("import time, pathlib\npathlib.Path('begun').touch()\ntime.sleep(600)\n")
    process, mark = running(tmp_path, temporary, "run", "endless:work", "--items", "range(3)")
    until((tmp_path / "begun").exists, "the module is imported")
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGINT else -number)
    until(lambda: not processes_with(mark), "it is gone")
    assert list(temporary.iterdir()) == []


FAKED = """
import sys, types
from tracekit.measure.capture import pyspy
pyspy.shutil = types.SimpleNamespace(which=lambda *_words, **_path: sys.argv[1])
from tracekit.cli import main
main(sys.argv[2:])
"""
"""tracekit with a py-spy of our own, its first argument."""


@pytest.mark.parametrize("command", ["run", "record"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda item: item.name)
def test_a_tool_that_is_tried_out_is_ended_as_well(
    tmp_path: Path, temporary: Path, number: signal.Signals, command: str
) -> None:
    """py-spy in its preflight, with a temporary file and a child that do not go by themselves."""
    tool = tmp_path / "py-spy"
    tool.write_text('#!/bin/sh\nsleep 600 &\n: > "$TMPDIR/.tmpX"\n: > begun\nwait\n')
    tool.chmod(0o755)
    words = (command, "--capture", "py-spy", "spin" if command == "run" else "true")
    process, mark = running(tmp_path, temporary, *words, program=("-c", FAKED, str(tool)))
    until((tmp_path / "begun").exists, "the trial begins")
    assert list(temporary.glob("**/.tmpX"))
    process.send_signal(number)
    assert process.wait(60) == (143 if number == signal.SIGTERM else -number)
    until(lambda: not processes_with(mark), "it is gone")
    assert list(temporary.iterdir()) == []


def test_py_spy_leaves_no_file_of_its_own(tmp_path: Path, temporary: Path) -> None:
    needs("py-spy")
    process, mark = running(tmp_path, temporary, "record", "--capture", "py-spy", "--", "sleep", "600")
    until(lambda: list(temporary.glob("*/.tmp*")), "py-spy has made one")
    process.terminate()
    assert process.wait(60) == 143
    until(lambda: not processes_with(mark), "it is gone")
    assert list(temporary.iterdir()) == []
