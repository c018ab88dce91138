"""Running a program as it is, in the foreground of whoever called: its streams, terminal and signals are its own.

It stays in the caller's process group and session, as under `time`, `strace` and `perf record`: pipelines, job control
and /dev/tty work as without us, and what it leaves running on purpose goes on running. Signals then come in two ways.
What the terminal sends (Ctrl-C, Ctrl-\\, a hang-up) goes to the whole foreground group, so the program has it already;
what another process sends to tracekit, `kill PID` say, is passed on. Neither ends tracekit: it waits for the program.
"""

from __future__ import annotations

import math
import os
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

import psutil

from tracekit.core.errors import ProgramNotExecutable
from tracekit.measure.process.launch import sleep_until_end

GRACE_S = 5.0
"""How long a program that was asked to end is left to do so before it is asked less politely."""

_HELD = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_BY_TERMINAL = (getattr(signal, "SIGHUP", None), signal.SIGINT, getattr(signal, "SIGQUIT", None))
_POLL_S = 0.05
_POLL_SHARE = 0.05
_POLL_LEAST_S, _POLL_MOST_S = 0.02, 1.0
"""How late a missed signal is noticed at most: a share of the time that the program has run, within these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """How a program ended. `exit_code` is negative for a signal; stamps are CLOCK_MONOTONIC ns."""

    pid: int
    exit_code: int
    started_ns: int
    ended_ns: int
    asked: tuple[int, ...]
    """Signals that asked it to end while it ran, whoever sent them: the terminal, another process, `duration_s`."""
    overdue: bool
    """It lived longer than `duration_s`, and was asked to end for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The program's stdin, stdout and stderr: files or descriptors; None: the caller's own."""

    stdin: IO[Any] | int | None = None
    stdout: IO[Any] | int | None = None
    stderr: IO[Any] | int | None = None


class StoppedEarly(BaseException):
    """A signal arrived before the program was started. `held` makes it take effect."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(slots=True)
class Held:
    """Signals that wait for us instead of ending us. `noted` came while they could not be held back."""

    numbers: frozenset[int]
    noted: list[int] = field(default_factory=list)

    def next(self, process: subprocess.Popen[bytes], seconds: float) -> tuple[int, bool] | None:
        """Sleep until a signal arrives: its number, and whether the program lacks it still. None when the time is over
        or, perhaps, the process is."""
        if self.noted:
            number = self.noted.pop(0)
            return number, not (number in _BY_TERMINAL and _at_terminal())
        if not self.numbers:
            sleep_until_end(process, seconds)
        elif hasattr(signal, "sigtimedwait"):
            found = signal.sigtimedwait({*self.numbers, signal.SIGCHLD}, seconds)
            if found is not None and found.si_signo != signal.SIGCHLD:
                # Positive codes are the kernel's own, the terminal's among them; those of kill and sigqueue are not.
                # And a program that signals tracekit has no use for an echo.
                return found.si_signo, found.si_code <= 0 and found.si_pid != process.pid
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(seconds, _POLL_S))
        return None


@contextmanager
def held() -> Iterator[Held]:
    """Hold signals back for the length of a `with`, until the run is sealed as well: a second Ctrl-C, meant for a
    program that has just ended, must not cost what was measured.

    Signals that are ignored stay ignored, for the program too: that is how nohup and background jobs work. Outside the
    main thread nothing can be held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Held(frozenset())
        return
    numbers = frozenset(number for number in _HELD if signal.getsignal(number) not in (signal.SIG_IGN, None))
    signals = Held(numbers)
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        signals.noted.append(number)

    try:
        # A handler, beside the mask, for the moment in which the program is started.
        for number in numbers:
            before[number] = signal.signal(number, note)
        if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            # An exit code that nobody waits for is lost.
            before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with _blocked(numbers):
            yield signals
    except StoppedEarly as stopped:
        _restore(before)
        signal.raise_signal(stopped.number)
        # Its handler let it pass; still, nothing was run.
        raise KeyboardInterrupt from None
    finally:
        _restore(before)


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _at_terminal() -> bool:
    """Whether a terminal has us in the foreground, so that its signals go to the program as well."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, AttributeError):
        return False


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    streams: Streams,
    signals: Held,
    duration_s: float = 0.0,
    wrapped: bool = False,
) -> Lived:
    """Run `argv` in `folder` to its end, or ask it to end after `duration_s` seconds (0: never).

    `wrapped` says that the program is the only child of what is started (py-spy). Descriptors that children are meant
    to have stay open in it. Raises ProgramNotExecutable when the system refuses to start it.
    """
    with _released(signals):
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
    limit = started_ns / 1e9 + duration_s if duration_s > 0 else math.inf
    asked, overdue = _wait(process, signals, limit, wrapped=wrapped)
    return Lived(
        pid=process.pid,
        exit_code=process.returncode,
        started_ns=started_ns,
        ended_ns=time.monotonic_ns(),
        asked=tuple(asked),
        overdue=overdue,
    )


def _wait(process: subprocess.Popen[bytes], signals: Held, limit: float, *, wrapped: bool) -> tuple[list[int], bool]:
    """Wait for the end; the signals that asked for it, and whether `limit` (monotonic seconds) passed before."""
    asked: list[int] = []
    begun = time.monotonic()
    stages = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)]
    overdue = False
    while process.poll() is None:
        now = time.monotonic()
        # Another thread of ours, numpy's for instance, may be given the signal that we are about to wait for.
        look_again = max(_POLL_LEAST_S, min((now - begun) * _POLL_SHARE, _POLL_MOST_S))
        arrived = signals.next(process, max(0.0, min(limit - now, look_again)))
        if arrived is not None:
            number, lacks = arrived
            asked.append(number)
            if lacks:
                _send(_program(process, wrapped=wrapped), number)
        elif time.monotonic() >= limit and process.poll() is None:
            overdue = True
            number = stages.pop(0)
            asked.append(number)
            for member in _family(_program(process, wrapped=wrapped)):
                _send(member, number)
            limit = time.monotonic() + GRACE_S if stages else math.inf
    return asked, overdue


def _program(process: subprocess.Popen[bytes], *, wrapped: bool) -> psutil.Process | None:
    """The program's own process; None when it has ended."""
    try:
        started = psutil.Process(process.pid)
        return next(iter(started.children()), started) if wrapped else started
    except psutil.Error:
        return None


def _family(program: psutil.Process | None) -> list[psutil.Process]:
    """The program and its descendants that a Ctrl-C at the terminal would reach."""
    if program is None:
        return []
    members = [program]
    for child in _descendants(program):
        try:
            if not hasattr(os, "getpgid") or os.getpgid(child.pid) == os.getpgrp():
                members.append(child)
        except OSError:
            continue
    return members


def _descendants(program: psutil.Process) -> list[psutil.Process]:
    try:
        return program.children(recursive=True)
    except psutil.Error:
        return []


def _send(member: psutil.Process | None, number: int) -> None:
    try:
        if member is not None:
            member.send_signal(number)
    except psutil.Error:
        return


@contextmanager
def _blocked(numbers: frozenset[int]) -> Iterator[None]:
    if not numbers or not hasattr(signal, "sigtimedwait"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*numbers, signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _released(signals: Held) -> Iterator[None]:
    """Unblocked while the program is started: it inherits the mask. What comes meanwhile is noted and passed on."""
    if not signals.numbers or not hasattr(signal, "sigtimedwait"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {*signals.numbers, signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
