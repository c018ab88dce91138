"""A program that another tool started: when it began, and how it ended, also where the tool reaped it before us."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracekit.measure.process import wrapped_program
from tracekit.measure.process.command_wrapper import wrap_apart
from tracekit.measure.process.wrapped_program import WrappedProgram

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; the other systems know nothing of it")

TOOL = """
import subprocess, sys, time
program = subprocess.Popen(["sh", "-c", 'read -r go <"$0"; exec "$@"', sys.argv[1], sys.executable, "-c", sys.argv[2]])
program.wait() if sys.argv[3] == "reaps" else time.sleep(60)
"""
ENDS = {"sys.exit(7)": 7, "pass": 0, "os.kill(os.getpid(), 11)": -signal.SIGSEGV}


@pytest.mark.parametrize("ending", ENDS)
@pytest.mark.parametrize("tool", ["reaps", "waits"])
def test_the_exit_code_and_the_window_are_known(tool: str, ending: str) -> None:
    if tool == "reaps" and tuple(int(part) for part in platform.release().split(".")[:2]) < (6, 15):
        pytest.skip("before Linux 6.15 nothing is left of a reaped process; the other tool is tested")
    code = f"import os, sys, time; print(time.monotonic_ns(), flush=True); {ending}"
    before_ns = time.monotonic_ns()
    with WrappedProgram() as found:
        words = [sys.executable, "-c", TOOL, found.gate, code, tool]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as started:
            assert started.stdout is not None
            found.follow(started.pid)
            ran_ns = int(started.stdout.readline())
            if tool == "reaps":
                started.wait()
            exit_code, window = found.read_exit_code(), found.read_window()
            started.kill()
    assert exit_code == ENDS[ending]
    assert window is not None
    assert before_ns < window[0] < ran_ns < window[1] < time.monotonic_ns()


def test_of_a_tool_that_starts_nothing_nothing_is_known() -> None:
    with WrappedProgram() as found, subprocess.Popen([sys.executable, "-c", "pass"]) as started:
        found.follow(started.pid)
        started.wait()
        assert (found.read_exit_code(), found.read_window()) == (None, None)


def test_a_program_starts_where_tracekit_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when other files were opened since, which must not be taken for the gate."""
    monkeypatch.setattr(wrapped_program, "_FIRST_CHILD_S", 0.0)
    with WrappedProgram() as found:
        found.follow(os.getpid())
        assert found.read_window() is None
        pipes = [os.pipe() for _ in range(20)]
        assert_starts(found.gate)
        for pipe in pipes:
            os.close(pipe[0])
            os.close(pipe[1])


def test_a_program_starts_where_tracekit_was_killed() -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    assert_starts(f"/proc/{killed.pid}/fd/5")


def assert_starts(gate: str) -> None:
    words = wrap_apart(["echo", "ran"], {"MINE": "a 'quoted' one"}, lambda argv: argv, Path(os.devnull), gate)
    assert subprocess.run(words, capture_output=True, timeout=60, check=True).stdout == b"ran\n"
