"""`tracekit record` at a terminal, as a shell with job control runs it."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.recording import ENV, TRACEKIT, needs, only_bundle, script, sleepers, until

COUNTS_INTERRUPTS = """
import os, signal, sys
# Waited for, not handled: a handler may miss its moment just before a sleep.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
os.write(1, b"ready")
for number in (1, 2):
    signal.sigwait({signal.SIGINT})
    os.write(1, b" interrupt %d" % number)
sys.exit(4)
"""

SHELL = """
import json, os, signal, sys
# What a shell with job control does: a process group of its own for the command, in the terminal's foreground.
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
with open("shell", "w") as log:
    print(pid, file=log, flush=True)
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            print("stopped", file=log, flush=True)
            os.tcsetpgrp(0, pid)
            os.killpg(pid, signal.SIGCONT)
            continue
        print("ended", os.waitstatus_to_exitcode(status), file=log, flush=True)
        break
"""


class Terminal:
    """A terminal with a command in its foreground."""

    def __init__(self, controller: int, folder: Path) -> None:
        self._controller = controller
        self._log = folder / "shell"
        self.shown = ""

    def type(self, key: bytes) -> None:
        os.write(self._controller, key)

    def await_text(self, text: str) -> None:
        until(lambda: text in self.read(), f"{text!r} on the terminal: {self.shown!r}")

    def await_log(self, line: str) -> None:
        until(lambda: self.read() is not None and line in self._log.read_text().splitlines(), f"{line!r} in the shell")

    def read(self) -> str:
        while select.select([self._controller], [], [], 0.01)[0]:
            try:
                data = os.read(self._controller, 4096)
            except OSError:
                break
            if not data:
                break
            self.shown += data.decode(errors="replace")
        return self.shown


@contextmanager
def at_a_terminal(folder: Path, *words: str) -> Iterator[Terminal]:
    """`tracekit record WORDS` in the foreground of a new terminal."""
    pid, controller = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-c", SHELL, *TRACEKIT, "record", *words], ENV)
    try:
        yield Terminal(controller, folder)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.close(controller)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("capture", ["none", "waits"])
def test_ctrl_c_goes_to_the_program_and_the_suite_is_written(tmp_path: Path, capture: str) -> None:
    if capture != "none":
        needs(capture)
    name = script(tmp_path, COUNTS_INTERRUPTS)
    with at_a_terminal(tmp_path, "--capture", capture, "--", sys.executable, name) as terminal:
        terminal.await_text("ready")
        terminal.type(b"\x03")
        terminal.await_text("interrupt 1")
        # Passed on as well, it would arrive a second time.
        time.sleep(0.5)
        assert "interrupt 2" not in terminal.read()
        terminal.type(b"\x03")
        terminal.await_text("interrupt 2")
        terminal.await_log("ended 4")
        assert "tracekit report" in terminal.shown
    manifest = only_bundle(tmp_path).manifest()
    assert (manifest["exit_code"], manifest["status"]) == (4, "ok")


def test_a_program_that_ctrl_c_ends_was_asked_to(tmp_path: Path) -> None:
    with at_a_terminal(tmp_path, "--capture", "none", "--", "sleep", "600") as terminal:
        until(lambda: (tmp_path / ".tracekit").is_dir() and sleepers(tmp_path), "sleep runs")
        terminal.type(b"\x03")
        terminal.await_log("ended 130")
        assert "sleep ended by SIGINT, as it was asked to" in terminal.shown
    manifest = only_bundle(tmp_path).manifest()
    assert (manifest["exit_code"], manifest["status"]) == (-2, "ok")


def test_ctrl_z_stops_and_the_shell_goes_on(tmp_path: Path) -> None:
    name = script(tmp_path, COUNTS_INTERRUPTS)
    with at_a_terminal(tmp_path, "--capture", "none", "--", sys.executable, name) as terminal:
        terminal.await_text("ready")
        terminal.type(b"\x1a")
        terminal.await_log("stopped")
        terminal.type(b"\x03")
        terminal.await_text("interrupt 1")
        terminal.type(b"\x03")
        terminal.await_log("ended 4")
    assert only_bundle(tmp_path).manifest()["exit_code"] == 4


def test_the_terminal_is_the_programs(tmp_path: Path) -> None:
    name = script(
        tmp_path,
        """
        import os, sys
        print("a terminal:", sys.stdin.isatty(), sys.stdout.isatty(), os.tcgetpgrp(0) == os.getpgrp())
        print("read", input())
        """,
    )
    with at_a_terminal(tmp_path, "--capture", "none", "--", sys.executable, name) as terminal:
        terminal.await_text("a terminal: True True True")
        terminal.type(b"what was typed\n")
        terminal.await_text("read what was typed")
        terminal.await_log("ended 0")
