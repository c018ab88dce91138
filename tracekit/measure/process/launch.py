"""Starts one measured process, waits for its end, and leaves nothing of it behind.

A measured process leads a session of its own and is a child of the watchdog, so that its whole family can be found and
ended (watchdog.py).
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tracekit.bundle.store import STDERR_LOG, STDOUT_LOG
from tracekit.measure.process.watchdog import Ending, Watchdog, scratch_prefix, watchdog_was_killed

_POLL_S = 0.005

_INTERRUPTS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

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
    asked_ns: int | None = None
    """CLOCK_MONOTONIC of the first of them, just before it was passed on; None where nothing asked it to end."""
    wrapped_exit_code: int | None = None
    """The exit code of the program that a tool started, as `exit_code`; None without a tool, or where it is unknown."""
    wrapped_window: tuple[int, int] | None = None
    """When that program began and ended, as `started_ns` and `ended_ns`; None as there."""
    program_cpu_ns: int | None = None
    """CPU time of a program's own process, exec and all threads included, read between its end and its reaping; None
    for a run of a suite, and where it could not be read."""


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
    watchdog: Watchdog,
    started: Callable[[int], None] | None = None,
    while_running: Callable[[int], bool] | None = None,
) -> ProcessResult:
    """Run `argv` to its end or to the timeout; its output goes to stdout.log and stderr.log in `folder`.

    `started(pid)` is called at once, `while_running(pid)` every few milliseconds until it returns False; runs that are
    timed have no `while_running`.
    Its TMPDIR is a scratch folder, because multiprocessing's sockets stay there when their owner is killed. Whatever
    happens, Ctrl-C included, no process of the family is left. Raises EnvironmentLacks when it cannot be started, and
    RunFailed when the watchdog, its parent, was killed.
    """
    out, err = folder / STDOUT_LOG, folder / STDERR_LOG
    for log in (out, err):
        log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(), ignore_cleanup_errors=True) as scratch:
        ending = None
        try:
            with _defer_interrupts():
                begun = watchdog.start(argv, env={**env, "TMPDIR": scratch}, cwd=cwd, out=out, err=err)
                if started is not None:
                    started(begun.pid)
            ending = _wait(watchdog, begun.pid, timeout_s, while_running)
        finally:
            last = watchdog.end_run()
    if last is None:
        raise watchdog_was_killed()
    return ProcessResult(
        pid=begun.pid,
        exit_code=last.exit_code,
        started_ns=begun.started_ns,
        ended_ns=last.ended_ns,
        timed_out=ending is None,
    )


@contextmanager
def _defer_interrupts() -> Iterator[None]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the id of the process that is being started is known: an exception
    before that would leave the watchdog with half a request."""
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


def _wait(watchdog: Watchdog, pid: int, timeout_s: float, while_running: Callable[[int], bool] | None) -> Ending | None:
    """Wait for the end of the process; None when it did not end by itself in time."""
    limit = time.monotonic() + timeout_s
    while while_running is not None and time.monotonic() < limit:
        ending = watchdog.wait(_POLL_S)
        if ending is not None or not while_running(pid):
            break
    return watchdog.wait(max(0.0, limit - time.monotonic()))
