"""Reads how a program ended that a tool started: py-spy does not pass on its child's exit status.

The program is not our child, so the system does not report its end to us. It stays in the process table until the tool
reaps it, which py-spy does only after it has written its file. A thread waits for the end by a pidfd and then reads the
wait status from proc(5)'s stat, field 52. Linux only; elsewhere, and where the tool was quicker, nothing is known.
"""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path

_LOOK_EVERY_S = 0.001
_FIRST_CHILD_S = 10.0
"""How long the tool has for starting the program."""


class WrappedProgram:
    """Follows the first child of the tool `tool_pid`, from now on and in a thread of its own."""

    def __init__(self, tool_pid: int) -> None:
        self._exit_code: int | None = None
        self._tool = Path(f"/proc/{tool_pid}/task")
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def read_exit_code(self) -> int | None:
        """The program's exit code, negative for a signal; None if unknown. Call it after the tool's end."""
        self._thread.join(1.0)
        return self._exit_code

    def _follow(self) -> None:
        try:
            pid = self._wait_for_child()
            if pid is not None:
                self._exit_code = _wait_for_exit_code(pid)
        except (OSError, AttributeError, ValueError, IndexError):
            # No proc, no pidfd, or the program was reaped before its status was read.
            return

    def _wait_for_child(self) -> int | None:
        limit = time.monotonic() + _FIRST_CHILD_S
        while time.monotonic() < limit:
            for thread in self._tool.iterdir():
                children = (thread / "children").read_text(encoding="ascii").split()
                if children:
                    return int(children[0])
            time.sleep(_LOOK_EVERY_S)
        return None


def _wait_for_exit_code(pid: int) -> int | None:
    descriptor = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.poll()
    finally:
        os.close(descriptor)
    # Who may not read a process's io finds a 0 in place of its status: a program of another user.
    Path(f"/proc/{pid}/io").read_bytes()
    # The second field is the program's name and may hold anything, also blanks and brackets.
    state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return os.waitstatus_to_exitcode(int(fields[-1])) if state == b"Z" else None
