"""Runs a program in the foreground of the caller: its streams, terminal and signals are the caller's own.

It stays in the caller's process group and session, as under `time`, `strace` and `perf record`: pipelines, job control
and /dev/tty work as without tracekit, and what it leaves running on purpose goes on running. Signals then arrive from
two sides. What the terminal sends (Ctrl-C, Ctrl-\\, a hang-up) goes to the whole foreground group, so the program has
it already; what another process sends to tracekit, `kill PID` for example, is passed on. Neither ends tracekit, which
waits for the program.
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from tracekit.core.errors import ProgramNotExecutable
from tracekit.measure.process.launch import ProcessResult
from tracekit.measure.process.wrapped_program import WrappedProgram
from tracekit.system.process_table import RunningProcess, find_process, read_cpu_ns

GRACE_S = 5.0
"""How long a program that was asked to end has for it, before the next stronger signal."""

_HELD = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_SENT_BY_TERMINAL = (getattr(signal, "SIGHUP", None), signal.SIGINT, getattr(signal, "SIGQUIT", None))
_OF_PROGRAM = (getattr(signal, "SIGUSR1", None), getattr(signal, "SIGUSR2", None))
"""Signals that have a meaning of the program's own: they do not ask it to end."""
_POLL_S = 0.05
_POLL_SHARE = 0.05
_POLL_LEAST_S, _POLL_MOST_S = 0.02, 1.0
"""How late a missed signal is noticed at most: a share of the time that the program has run, within these bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardStreams:
    """The program's stdin, stdout and stderr: files or descriptors; None means the caller's own."""

    stdin: IO[Any] | int | None = None
    stdout: IO[Any] | int | None = None
    stderr: IO[Any] | int | None = None


class StoppedEarly(BaseException):
    """A signal arrived before the program was started. `hold_signals` delivers it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(slots=True)
class HeldSignals:
    """Signals that tracekit waits for instead of being ended by them.

    `noted` arrived while they could not be blocked, in the moment in which the program was started.
    """

    numbers: frozenset[int]
    noted: list[int] = field(default_factory=list)

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> tuple[int, bool] | None:
        """Sleep until a signal arrives: its number, and whether it has still to be passed on to the program.

        None when the time is over, or when the process may have ended.
        """
        if self.noted:
            number = self.noted.pop(0)
            return number, not (number in _SENT_BY_TERMINAL and _is_in_foreground())
        if not self.numbers:
            _sleep_until_end(process, seconds)
        elif hasattr(signal, "sigtimedwait"):
            found = signal.sigtimedwait({*self.numbers, signal.SIGCHLD}, seconds)
            if found is not None and found.si_signo != signal.SIGCHLD:
                # Positive codes are the kernel's own, the terminal's among them; those of kill and sigqueue are not.
                # And what the program itself sends to tracekit is not sent back to it.
                return found.si_signo, found.si_code <= 0 and found.si_pid != process.pid
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(seconds, _POLL_S))
        return None


def _sleep_until_end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Sleep until the kernel reports the process's end: that costs the process nothing, and takes effect at once.

    Returns early where the system cannot report it (pidfd_open came with Linux 5.3, and some sandboxes refuse it)."""
    open_pidfd = getattr(os, "pidfd_open", None)
    if open_pidfd is None or seconds <= 0:
        return
    try:
        fd = open_pidfd(process.pid)
    except OSError:
        return
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.poll(seconds * 1000)
    finally:
        os.close(fd)


@contextmanager
def hold_signals() -> Iterator[HeldSignals]:
    """Hold signals back for the length of a `with`, which lasts until the manifest is written.

    A second Ctrl-C, meant for a program that has just ended, must not cost what was measured. Signals that are ignored
    stay ignored, for the program too: that is how nohup and background jobs work. Outside the main thread no signal
    can be held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield HeldSignals(frozenset())
        return
    numbers = frozenset(number for number in _HELD if signal.getsignal(number) not in (signal.SIG_IGN, None))
    signals = HeldSignals(numbers)
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        signals.noted.append(number)

    try:
        # A handler, beside the mask, for the moment in which the program is started.
        for number in numbers:
            before[number] = signal.signal(number, note)
        if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            # While SIGCHLD is ignored, exit codes are lost.
            before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with _block(numbers):
            yield signals
    except StoppedEarly as stopped:
        _restore(before)
        signal.raise_signal(stopped.number)
        # Its handler returned; still, nothing was run.
        raise KeyboardInterrupt from None
    finally:
        _restore(before)


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether our process group is the terminal's foreground one, so that its signals reach the program as well."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, AttributeError):
        return False


def run_in_foreground(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    streams: StandardStreams,
    signals: HeldSignals,
    duration_s: float = 0.0,
    wrapped: WrappedProgram | None = None,
) -> ProcessResult:
    """Run `argv` in `folder` to its end, or ask it to end after `duration_s` seconds (0: never).

    With `wrapped` what is started is a tool whose only child is the program (py-spy). Inheritable descriptors stay
    open in the program. Raises ProgramNotExecutable when the system refuses to start it.
    """
    with _unblock(signals):
        if signals.noted:
            raise StoppedEarly(signals.noted[0])
        started_ns = time.monotonic_ns()
        try:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=folder,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                # Ours are marked close-on-exec; the others are the user's: `<(command)`, make's jobserver.
                close_fds=False,
            )
        except OSError as error:
            raise ProgramNotExecutable(f"cannot start {argv[0]}: {error.strerror}", f"file {argv[0]}") from error
    if wrapped is not None:
        wrapped.follow(process.pid)
    limit = started_ns / 1e9 + duration_s if duration_s > 0 else math.inf
    arrived, timed_out, asked_ns = _wait(process, signals, limit, wrapped=wrapped is not None)
    # A process that was reaped has no clock.
    cpu_ns = read_cpu_ns(process.pid) if process.returncode is None else None
    process.wait()
    return ProcessResult(
        pid=process.pid,
        exit_code=process.returncode,
        started_ns=started_ns,
        ended_ns=time.monotonic_ns(),
        timed_out=timed_out,
        signals=tuple(arrived),
        asked_ns=asked_ns,
        wrapped_exit_code=None if wrapped is None else wrapped.read_exit_code(),
        wrapped_window=None if wrapped is None else wrapped.read_window(),
        program_cpu_ns=cpu_ns if wrapped is None else wrapped.read_cpu_ns(),
    )


def _wait(
    process: subprocess.Popen[bytes], signals: HeldSignals, limit: float, *, wrapped: bool
) -> tuple[list[int], bool, int | None]:
    """Wait for the end; the signals that asked for it, whether `limit` (monotonic seconds) passed before, and when the
    first of those arrived that by default end a program and are not its own affair."""
    asked_by: list[int] = []
    asked_ns = None
    begun = time.monotonic()
    stages = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)]
    timed_out = False
    while not _has_ended(process):
        now = time.monotonic()
        # Another thread of ours, numpy's for instance, may be given the signal that we are about to wait for.
        look_again = max(_POLL_LEAST_S, min((now - begun) * _POLL_SHARE, _POLL_MOST_S))
        arrived = signals.wait(process, max(0.0, min(limit - now, look_again)))
        if arrived is not None:
            number, is_missing = arrived
            asked_by.append(number)
            if number not in _OF_PROGRAM:
                asked_ns = asked_ns or time.monotonic_ns()
            if is_missing and (program := _find_program(process, wrapped=wrapped)) is not None:
                program.send(number)
        elif time.monotonic() >= limit and not _has_ended(process):
            timed_out = True
            number = stages.pop(0)
            asked_by.append(number)
            asked_ns = asked_ns or time.monotonic_ns()
            for member in _list_foreground_family(process, wrapped=wrapped):
                member.send(number)
            limit = time.monotonic() + GRACE_S if stages else math.inf
    return asked_by, timed_out, asked_ns


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended. It is left to be reaped where the system can say so without reaping it."""
    if hasattr(os, "waitid") and process.returncode is None:
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _find_program(process: subprocess.Popen[bytes], *, wrapped: bool) -> RunningProcess | None:
    """The program's own process; None when it has ended."""
    started = find_process(process.pid)
    if started is None or not wrapped:
        return started
    return next(iter(started.children()), started)


def _list_foreground_family(process: subprocess.Popen[bytes], *, wrapped: bool) -> list[RunningProcess]:
    """The program and those of its descendants that a Ctrl-C at the terminal would reach."""
    program = _find_program(process, wrapped=wrapped)
    if program is None:
        return []
    return [program, *(child for child in program.children(recursive=True) if _is_in_our_group(child))]


def _is_in_our_group(process: RunningProcess) -> bool:
    try:
        return not hasattr(os, "getpgid") or os.getpgid(process.pid) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def _block(numbers: frozenset[int]) -> Iterator[None]:
    if not numbers or not hasattr(signal, "sigtimedwait"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*numbers, signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _unblock(signals: HeldSignals) -> Iterator[None]:
    """Unblock the signals while the program is started, which inherits the mask. What arrives meanwhile is noted, and
    passed on later."""
    if not signals.numbers or not hasattr(signal, "sigtimedwait"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {*signals.numbers, signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
