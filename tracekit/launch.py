"""Starting one measured process, waiting for it, and leaving nothing of it behind.

A measured process leads a session of its own, so that its whole family can be found and ended, also members whose
parent is gone. The fork server and the resource tracker are such members; the tracker is left to the end because it
removes the semaphores and shared memory that killed processes leave.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_GRACE_S = 2.0
_SETTLE_S = 0.05
_POLL_S = 0.005

_DISTURBING = (
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
"""Variables that change what is measured. Without bytecode files, say, every spawned worker compiles its imports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a measured process ended. `exit_code` is negative for a signal, as in subprocess."""

    exit_code: int
    timed_out: bool
    started_ns: int
    ended_ns: int


def measured_environment(import_folder: Path) -> dict[str, str]:
    """The environment of a measured process: the user's, without what disturbs, with tracekit on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in _DISTURBING}
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
    folder: Path,
    timeout_s: float,
    while_running: Callable[[int], bool] | None = None,
) -> Ended:
    """Run `argv` to its end or to the timeout; its output goes to stdout.log and stderr.log in `folder`.

    `while_running(pid)` is called every few milliseconds until it returns False; runs that are timed have none.
    Whatever happens, Ctrl-C included, no process of the family is left. Raises OSError when it cannot be started.
    """
    with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
        started = time.monotonic_ns()
        process = subprocess.Popen(
            argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            timed_out = not _wait(process, timeout_s, while_running)
            ended = time.monotonic_ns()
        finally:
            _end_family(process)
    return Ended(exit_code=process.returncode, timed_out=timed_out, started_ns=started, ended_ns=ended)


def _wait(process: subprocess.Popen[bytes], timeout_s: float, while_running: Callable[[int], bool] | None) -> bool:
    """Whether the process ended by itself in time."""
    limit = time.monotonic() + timeout_s
    while while_running is not None and time.monotonic() < limit:
        if process.poll() is not None:
            return True
        if not while_running(process.pid):
            break
        time.sleep(_POLL_S)
    remaining = max(0.0, limit - time.monotonic())
    open_pidfd = getattr(os, "pidfd_open", None)
    if open_pidfd is not None:
        # Sleeping until the kernel says so costs the measured processes nothing and notices the end at once.
        fd = open_pidfd(process.pid)
        try:
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll(remaining * 1000)
        finally:
            os.close(fd)
        remaining = 0.0
    try:
        process.wait(remaining)
    except subprocess.TimeoutExpired:
        return process.poll() is not None
    return True


def _end_family(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the session and reap the leader."""
    if process.poll() is None:
        # The leader first: alone it could start further members.
        process.kill()
    process.wait()
    # Most end by themselves now that the leader is gone. Who is looked at too early may be a tracker that has not
    # replaced its parent's image yet and cannot be told from a worker.
    family = _still_alive(_session_members(process.pid), _SETTLE_S)
    trackers = [member for member in family if _is_tracker(member)]
    for member in family:
        if member not in trackers:
            _kill(member)
    for member in _still_alive(trackers, _GRACE_S):
        _kill(member)
    _still_alive(family, _GRACE_S)


def _still_alive(members: list[psutil.Process], grace_s: float) -> list[psutil.Process]:
    """Those that have not ended by themselves after a grace."""
    limit = time.monotonic() + grace_s
    while (alive := [member for member in members if _runs(member)]) and time.monotonic() < limit:
        time.sleep(_POLL_S)
    return alive


def _runs(member: psutil.Process) -> bool:
    try:
        # An orphan stays a zombie until init reaps it: it holds nothing any more.
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _session_members(leader: int) -> list[psutil.Process]:
    """Every process of the leader's session except the leader itself."""
    if not hasattr(os, "getsid"):
        try:
            return psutil.Process(leader).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
    members = []
    for pid in psutil.pids():
        try:
            if pid != leader and os.getsid(pid) == leader:
                members.append(psutil.Process(pid))
        except (OSError, psutil.NoSuchProcess):
            continue
    return members


def _is_tracker(member: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in word for word in member.cmdline())
    except psutil.Error:
        return False


def _kill(member: psutil.Process) -> None:
    try:
        member.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    except psutil.Error:
        return
