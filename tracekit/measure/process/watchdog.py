"""The watchdog: the process that starts measured processes and ends all that they leave.

It is their parent, and it adopts their orphans (`process_table.adopt_orphans`): a daemon, which has left its session
and lost its parent, is still a descendant of the watchdog and is found. tracekit itself must not adopt anybody: it may
be a part of somebody's program, whose daemons are none of our business.

It also does that when tracekit itself is killed. SIGKILL, the out-of-memory killer and a lost terminal leave nobody to
reap workers, and the workers of a pool whose parent died wait for work for ever. When its stdin ends the watchdog ends
what still runs, removes the scratch folders of a tracekit that was killed, and then what that tracekit, or an earlier
one that is dead, left in tracefs. It costs the measured processes nothing: it sleeps until a message arrives or one of
its children ends.

Started as `python -m tracekit.measure.process.watchdog PID`, with tracekit's process id. Messages are JSON objects, one
a line: requests on its stdin, answers on its stdout.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from tracekit.core.errors import EnvironmentLacks, RunFailed
from tracekit.measure.process.process_session import end_family
from tracekit.system import tracefs
from tracekit.system.interpreters import find_start_hint
from tracekit.system.process_table import adopt_orphans, find_process

_START, _END, _ALIVE = "start", "end", "alive"
_STARTED, _REFUSED, _ENDED, _CLEARED = "started", "refused", "ended", "cleared"
_READ_BYTES = 1 << 16
_POLL_S = 0.001

_starter: ContextVar[int | None] = ContextVar("starter", default=None)


def starting_process() -> int | None:
    """The watchdog that starts this thread's measured process, which has one thread, of the same id; None where this
    process starts it itself."""
    return _starter.get()


class Begun(NamedTuple):
    """A process that the watchdog has started."""

    pid: int
    started_ns: int
    """CLOCK_MONOTONIC just before."""


class Ending(NamedTuple):
    """How it ended: its exit code, negative for a signal, and CLOCK_MONOTONIC just after it was reaped."""

    exit_code: int
    ended_ns: int


class Watchdog:
    """Tracekit's side of a watchdog, which has at most one measured process at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._received = b""
        self._leader: int | None = None
        self._ending: Ending | None = None

    @contextmanager
    def starts_here(self) -> Iterator[None]:
        """Within this `with` the measured processes of this thread are started by the watchdog."""
        token = _starter.set(self._process.pid)
        try:
            yield
        finally:
            _starter.reset(token)

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, out: Path, err: Path) -> Begun:
        """Start a process as the leader of a new session; its output goes to the files `out` and `err`.

        Raises EnvironmentLacks when it cannot be started, RunFailed when the watchdog is dead.
        """
        self._leader = self._ending = None
        files = {"cwd": str(cwd.absolute()), "out": str(out.absolute()), "err": str(err.absolute())}
        self._send({"do": _START, "argv": list(argv), "env": dict(env), **files})
        answer = self._receive(None)
        assert answer is not None
        if answer["said"] == _REFUSED:
            raise _cannot_start(argv[0], OSError(answer["errno"], answer["reason"]))
        self._leader = answer["pid"]
        return Begun(answer["pid"], answer["ns"])

    def wait(self, seconds: float) -> Ending | None:
        """Wait for the end of the process; None when it still runs after `seconds`. Raises RunFailed."""
        if self._ending is None and (answer := self._receive(seconds)) is not None:
            self._ending = Ending(answer["exit_code"], answer["ns"])
        return self._ending

    def end_run(self) -> Ending | None:
        """End the process, if it still runs, and all that it leaves.

        None where nothing is known of its end: it was never started, or the watchdog is dead. Then only the session is
        found and ended.
        """
        try:
            self._send({"do": _END})
            while (answer := self._receive(None)) is not None and answer["said"] != _CLEARED:
                if answer["said"] == _ENDED:
                    self._ending = Ending(answer["exit_code"], answer["ns"])
        except RunFailed:
            if self._leader is not None:
                _kill(self._leader)
                end_family(self._leader, with_descendants=False)
        self._leader = None
        return self._ending

    def close(self) -> None:
        """Wait for the watchdog's end; the scratch folders are left to tracekit, which still runs.

        What still runs is ended: after an exception, a second Ctrl-C say, something may be left.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(RunFailed):
            self._send({"do": _ALIVE})
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise watchdog_was_killed() from None

    def _receive(self, seconds: float | None) -> dict[str, Any] | None:
        """The next answer; None when there is none within `seconds`, None being for ever. Raises RunFailed."""
        assert self._process.stdout is not None
        limit = None if seconds is None else time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._received:
            left = None if limit is None else max(0.0, limit - time.monotonic())
            # Rounded up by poll: never early.
            if not poller.poll(None if left is None else left * 1000):
                return None
            more = os.read(self._process.stdout.fileno(), _READ_BYTES)
            if not more:
                raise watchdog_was_killed()
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _cannot_start(program: str, error: OSError) -> EnvironmentLacks:
    return EnvironmentLacks(f"cannot start {program}: {error.strerror}", find_start_hint(error))


def watchdog_was_killed() -> RunFailed:
    """The error of whoever notices that; only SIGKILL ends a watchdog."""
    return RunFailed("the watchdog, the process that starts the measured ones, was killed", "dmesg | tail")


@contextmanager
def start_watchdog() -> Iterator[Watchdog]:
    """A watchdog for the length of a `with`. Raises EnvironmentLacks when no process can be started."""
    try:
        process = subprocess.Popen(
            # -P: a psutil.py in the current folder must not be taken for the library.
            [sys.executable, "-P", "-m", "tracekit.measure.process.watchdog", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C at a terminal goes to the whole foreground group, and a watchdog must outlive it.
            start_new_session=True,
        )
    except OSError as error:
        raise _cannot_start(sys.executable, error) from error
    watchdog = Watchdog(process)
    try:
        yield watchdog
    finally:
        watchdog.close()


def scratch_prefix() -> str:
    """What the names of this process's scratch folders begin with: the watchdog finds them by it."""
    return f"tk-{os.getpid()}-"


@contextmanager
def make_scratch_folder() -> Iterator[Path]:
    """A folder for the length of a `with`, which also goes when this process is killed meanwhile: before there is a
    watchdog, which takes 0.1 s to start, a shell does its work in a few ms. Raises OSError."""
    folder = Path(tempfile.gettempdir()) / f"{scratch_prefix()}{secrets.token_hex(4)}"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" INT TERM HUP; read line; rm -rf -- "$0"', str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        assert shell.stdin is not None
        shell.stdin.close()
        shell.wait()


def _remove_scratch_folders(pid: int) -> None:
    """Remove the scratch folders of a process that has ended."""
    for path in Path(tempfile.gettempdir()).glob(f"tk-{pid}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _clean_tracefs(tracekit: int) -> None:
    """Remove the tracing instances of `tracekit`, which has closed its end of the pipe: it is dying, or has made its
    last run."""
    for owner in tracefs.list_leftovers(of=tracekit):
        with suppress(OSError):
            tracefs.remove_traces(owner)


def _kill(leader: int) -> None:
    """End the leader of a session at once; before its members, since alone it could start further ones."""
    if (process := find_process(leader)) is not None:
        process.kill()


class _Family:
    """The watchdog's side: the measured process that it started last, with all descendants of the watchdog."""

    def __init__(self) -> None:
        self._adopts = adopt_orphans()
        self._leader: int | None = None
        """Until it is reaped."""

        self._last_leader: int | None = None

    def start(self, request: Mapping[str, Any]) -> None:
        started_ns = time.monotonic_ns()
        try:
            with Path(request["out"]).open("r+b") as out, Path(request["err"]).open("r+b") as err:
                process = subprocess.Popen(
                    request["argv"],
                    env=request["env"],
                    cwd=request["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
        except OSError as error:
            _say(_REFUSED, errno=error.errno, reason=error.strerror)
            return
        self._leader = self._last_leader = process.pid
        # It is reaped with all other children.
        process.returncode = 0
        _say(_STARTED, pid=process.pid, ns=started_ns)

    def reap(self) -> None:
        """Reap every child that has ended: the leader, whose end is told, and orphans."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._leader:
                    self._leader = None
                    _say(_ENDED, exit_code=os.waitstatus_to_exitcode(found[1]), ns=time.monotonic_ns())

    def end(self) -> None:
        """End it and all that it leaves."""
        if self._leader is not None:
            _kill(self._leader)
        while self._leader is not None:
            self.reap()
            time.sleep(_POLL_S)
        if self._last_leader is not None:
            end_family(self._last_leader, with_descendants=self._adopts)
            self.reap()
        self._last_leader = None


def _say(what: str, **facts: object) -> None:
    # A tracekit that was killed reads no answer.
    with suppress(BrokenPipeError):
        os.write(1, json.dumps({"said": what, **facts}).encode() + b"\n")


def _wake_on_end_of_children() -> int:
    """A descriptor that is readable when a child has ended."""
    readable, writable = os.pipe()
    for descriptor in (readable, writable):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    # Handlers, and nothing that is ignored: the measured process would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    return readable


def main(tracekit: int) -> None:
    """Do as requested until stdin ends. `tracekit` is the process at the other end, which may have died already."""
    woken = _wake_on_end_of_children()
    family, received, is_alive = _Family(), b"", False
    while True:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, _READ_BYTES)
            family.reap()
        if 0 not in ready:
            continue
        more = os.read(0, _READ_BYTES)
        if not more:
            break
        *lines, received = (received + more).split(b"\n")
        for request in map(json.loads, lines):
            if request["do"] == _START:
                family.start(request)
            elif request["do"] == _END:
                family.end()
                _say(_CLEARED)
            else:
                is_alive = True
    family.end()
    if not is_alive:
        _remove_scratch_folders(tracekit)
    _clean_tracefs(tracekit)


if __name__ == "__main__":
    main(int(sys.argv[1]))
