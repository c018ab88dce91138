"""How a program ended that another tool started: also where the tool has reaped it before anyone could look."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys

import pytest

from tracekit.measure.process.wrapped_program import WrappedProgram

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; the other systems know nothing of it")

TOOL = """
import subprocess, sys, time
program = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read(1); " + sys.argv[1]], stdin=0)
program.wait() if sys.argv[2] == "reaps" else time.sleep(60)
"""
ENDS = {"sys.exit(7)": 7, "pass": 0, "import os; os.kill(os.getpid(), 11)": -signal.SIGSEGV}


@pytest.mark.parametrize("program", ENDS)
@pytest.mark.parametrize("tool", ["reaps", "waits"])
def test_the_exit_code_is_known(tool: str, program: str) -> None:
    if tool == "reaps" and tuple(int(part) for part in platform.release().split(".")[:2]) < (6, 15):
        pytest.skip("before Linux 6.15 nothing is left of a reaped process; the other tool is tested")
    with subprocess.Popen([sys.executable, "-c", TOOL, program, tool], stdin=subprocess.PIPE) as started:
        found = WrappedProgram(started.pid)
        assert started.stdin is not None
        started.stdin.write(b"x")
        started.stdin.close()
        if tool == "reaps":
            started.wait()
        code = found.read_exit_code()
        started.kill()
    assert code == ENDS[program]


def test_of_a_tool_that_starts_nothing_nothing_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as started:
        assert WrappedProgram(started.pid).read_exit_code() is None
