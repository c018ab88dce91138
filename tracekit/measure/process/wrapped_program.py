"""Reads when a program began that a tool started, and how it ended: py-spy does not pass on its child's exit status.

The program is not our child. So that its beginning is known, a shell in its place waits for a line from us before it
becomes the program (`gate`): the stamp is taken just before that line is written. The system does not report its end to
us. It stays in the process table until it is reaped: by the tool, which does so when it has written its file, or by
init if the tool gave up first. A pidfd tells of the end, and the wait status stands in proc(5)'s stat, field 52; of a
program that was reaped meanwhile the pidfd still has it (PIDFD_GET_INFO, Linux 6.15). Linux only; elsewhere, and on an
older one if we came too late, nothing is known.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tracekit.system.process_table import read_cpu_ns

_LOOK_EVERY_S = 0.001
_FIRST_CHILD_S = 10.0
"""How long the tool has for starting the program, and the program for coming to the gate."""

_INFO = struct.Struct("=QQ11Ii")
"""struct pidfd_info of linux/pidfd.h, its first version: mask, cgroup, eleven ids, wait status."""
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 8


class WrappedProgram:
    """The first child of a tool. It is looked for from `follow` on until it is there or the tool has ended."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        self._writing = os.fdopen(writing, "wb", buffering=0)
        self.gate = f"/proc/{os.getpid()}/fd/{writing}"
        """The file from which the program's shell reads a line, and goes on. Without us it is not there or at its end:
        the program then starts all the same."""
        self._exit_code: int | None = None
        self._started_ns: int | None = None
        self._ended_ns: int | None = None
        self._cpu_ns: int | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> WrappedProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.close()

    def follow(self, tool_pid: int) -> None:
        """Begin to watch for the program of this tool."""
        self._thread = threading.Thread(target=self._follow, args=(Path(f"/proc/{tool_pid}"),), daemon=True)
        self._thread.start()

    def read_exit_code(self) -> int | None:
        """The program's exit code, negative for a signal; None if unknown. Call it after the tool's end."""
        self._wait_for_end()
        return self._exit_code

    def read_window(self) -> tuple[int, int] | None:
        """When it began, just before its exec, and when it had ended, CLOCK_MONOTONIC ns; None if unknown. Call it
        after the tool's end."""
        self._wait_for_end()
        if self._started_ns is None or self._ended_ns is None:
            return None
        return self._started_ns, self._ended_ns

    def read_cpu_ns(self) -> int | None:
        """CPU time of the program's process, its shell at the gate included, at its end, ns; None if unknown. Call it
        after the tool's end."""
        self._wait_for_end()
        return self._cpu_ns

    def _wait_for_end(self) -> None:
        if self._thread is not None:
            self._thread.join(1.0)

    def _follow(self, tool: Path) -> None:
        pid = descriptor = None
        # No proc, no pidfd, or the program was reaped already.
        with suppress(OSError, AttributeError, ValueError, IndexError):
            pid = _wait_for_child(tool)
            descriptor = None if pid is None else os.pidfd_open(pid)
        self._started_ns = self._open_gate(tool)
        if pid is None or descriptor is None:
            return
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll()
            self._ended_ns = time.monotonic_ns()
            self._cpu_ns = read_cpu_ns(pid)
            status = _read_status(pid)
            if status is None:
                status = _read_reaped(descriptor)
            self._exit_code = None if status is None else os.waitstatus_to_exitcode(status)
        except (OSError, ValueError):
            return
        finally:
            os.close(descriptor)

    def _open_gate(self, tool: Path) -> int | None:
        """Let the program go on when it has come to the gate, and say when; None where it does not come."""
        limit = time.monotonic() + _FIRST_CHILD_S
        with suppress(OSError, ValueError):
            while time.monotonic() < limit and _read_stat(tool)[0] != b"Z":
                now_ns = time.monotonic_ns()
                try:
                    self._writing.write(b"\n")
                except BrokenPipeError:
                    # Nobody has it open for reading.
                    time.sleep(_LOOK_EVERY_S)
                else:
                    return now_ns
        # The number of the file has to stay ours: a program that comes later would wait for a line from whatever has it
        # then. /dev/null is at its end.
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, self._writing.fileno(), inheritable=False)
            os.close(nothing)
        return None


def _wait_for_child(tool: Path) -> int | None:
    limit = time.monotonic() + _FIRST_CHILD_S
    while time.monotonic() < limit:
        for thread in (tool / "task").iterdir():
            children = (thread / "children").read_text(encoding="ascii").split()
            if children:
                return int(children[0])
        if _read_stat(tool)[0] == b"Z":
            break
        time.sleep(_LOOK_EVERY_S)
    return None


def _read_stat(process: Path) -> list[bytes]:
    """The fields of its stat from the third on: the second is its name and may hold anything, blanks and brackets."""
    return (process / "stat").read_bytes().rpartition(b")")[2].split()


def _read_status(pid: int) -> int | None:
    """The wait status of a process that has ended; None if it was reaped, or is another user's."""
    process = Path(f"/proc/{pid}")
    try:
        # Who may not read a process's io finds a 0 in place of its status.
        (process / "io").read_bytes()
        state, *fields = _read_stat(process)
        return int(fields[-1]) if state == b"Z" else None
    except (OSError, ValueError):
        return None


def _read_reaped(descriptor: int) -> int | None:
    """The wait status of a process that was reaped; None where the kernel does not keep it. Raises OSError."""
    import fcntl  # noqa: PLC0415 - not on Windows

    found = fcntl.ioctl(descriptor, _GET_INFO, _INFO.pack(_INFO_EXIT, *[0] * 13))
    mask, *_, status = _INFO.unpack(found)
    return int(status) if mask & _INFO_EXIT else None
