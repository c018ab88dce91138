"""Starts one measured process, waits for its end, and leaves nothing of it behind.

A measured process leads a session of its own, so that its whole family can be found and ended (process_session.py).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tracekit.bundle.store import STDERR_LOG, STDOUT_LOG
from tracekit.core.errors import EnvironmentLacks
from tracekit.measure.process.process_session import end_session
from tracekit.measure.process.watchdog import scratch_prefix
from tracekit.system.interpreters import find_start_hint

_POLL_S = 0.005

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)

_DISTURBING_VARIABLES = (
    "PYTHONASYNCIODEBUG",
    "PYTHONBREAKPOINT",
    "PYTHONDEBUG",
    "PYTHONDEVMODE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONDUMPREFS",
    "PYTHONFAULTHANDLER",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONMALLOCSTATS",
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONPYCACHEPREFIX",
    "PYTHONSAFEPATH",
    "PYTHONSTARTUP",
    "PYTHONTRACEMALLOC",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
)
"""Variables that change what is measured. Without bytecode files, for example, every spawned worker compiles its
imports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """How a process that tracekit started ended: a run of a suite, or a recorded program."""

    pid: int
    exit_code: int
    """Negative for a signal, as in subprocess."""
    started_ns: int
    """CLOCK_MONOTONIC just before the process was started, so before its exec."""
    ended_ns: int
    """CLOCK_MONOTONIC just after its parent reaped it."""
    timed_out: bool
    """It ran longer than its limit, and was ended (a run) or asked to end (a program) for that."""
    signals: tuple[int, ...] = ()
    """Signals that asked a program to end, whoever sent them: the terminal, another process, its `--duration`."""
    wrapped_exit_code: int | None = None
    """The exit code of the program that a tool started, as `exit_code`; None without a tool, or where it is unknown."""


def measured_environment(import_folder: Path) -> dict[str, str]:
    """The environment of a measured process: the user's, without what disturbs, with tracekit on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in _DISTURBING_VARIABLES}
    theirs = kept.get("PYTHONPATH")
    kept["PYTHONPATH"] = os.pathsep.join([str(import_folder), *([theirs] if theirs else [])])
    return kept


def link_packages(import_folder: Path, packages: Mapping[str, Path]) -> None:
    """Make a folder that holds these packages and nothing else, so that an older Python can import them without
    seeing the rest of our own site-packages. Raises OSError."""
    import_folder.mkdir(parents=True, exist_ok=True)
    for name, source in packages.items():
        link = import_folder / name
        if not link.exists():
            link.symlink_to(source, target_is_directory=True)


def launch(
    argv: list[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    folder: Path,
    timeout_s: float,
    started: Callable[[int], None] | None = None,
    while_running: Callable[[int], bool] | None = None,
) -> ProcessResult:
    """Run `argv` to its end or to the timeout; its output goes to stdout.log and stderr.log in `folder`.

    `started(pid)` is called at once, `while_running(pid)` every few milliseconds until it returns False; runs that are
    timed have no `while_running`.
    Its TMPDIR is a scratch folder, because multiprocessing's sockets stay there when their owner is killed. Whatever
    happens, Ctrl-C included, no process of the family is left. Raises EnvironmentLacks when it cannot be started.
    """
    with (
        (folder / STDOUT_LOG).open("wb") as out,
        (folder / STDERR_LOG).open("wb") as err,
        tempfile.TemporaryDirectory(prefix=scratch_prefix(), ignore_cleanup_errors=True) as scratch,
    ):
        process = None
        started_ns = time.monotonic_ns()
        try:
            with _defer_interrupts():
                process = _start(argv, env={**env, "TMPDIR": scratch}, cwd=cwd, out=out, err=err)
                if started is not None:
                    started(process.pid)
            timed_out = not _wait(process, timeout_s, while_running)
            ended_ns = time.monotonic_ns()
        finally:
            if process is not None:
                _end(process)
    return ProcessResult(
        pid=process.pid,
        exit_code=process.returncode,
        started_ns=started_ns,
        ended_ns=ended_ns,
        timed_out=timed_out,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, if it still runs, and all that it leaves."""
    if process.poll() is None:
        # The leader first: alone it could start further members.
        process.kill()
    process.wait()
    end_session(process.pid)


def _start(
    argv: list[str], *, env: Mapping[str, str], cwd: Path, out: BinaryIO, err: BinaryIO
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
    except OSError as error:
        raise EnvironmentLacks(f"cannot start {argv[0]}: {error.strerror}", find_start_hint(error)) from error


@contextmanager
def _defer_interrupts() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the id of the process that is being started is known: an exception before
    that would leave it running. By handlers and not by a signal mask, which the new process would inherit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda got, _frame: arrived.append(got)) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for got in arrived:
        signal.raise_signal(got)


def _wait(process: subprocess.Popen[bytes], timeout_s: float, while_running: Callable[[int], bool] | None) -> bool:
    """Wait for the end; whether the process ended by itself in time."""
    limit = time.monotonic() + timeout_s
    while while_running is not None and time.monotonic() < limit:
        if process.poll() is not None:
            return True
        if not while_running(process.pid):
            break
        time.sleep(_POLL_S)
    sleep_until_end(process, limit - time.monotonic())
    try:
        process.wait(max(0.0, limit - time.monotonic()))
    except subprocess.TimeoutExpired:
        return process.poll() is not None
    return True


def sleep_until_end(process: subprocess.Popen[bytes], seconds: float) -> None:
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
