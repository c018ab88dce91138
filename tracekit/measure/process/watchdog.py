"""The watchdog: a process that ends measured processes when tracekit itself is killed.

SIGKILL, the out-of-memory killer and a lost terminal leave nobody to reap workers, and the workers of a pool whose
parent died wait for work for ever. The watchdog sleeps on a pipe from tracekit. When the pipe ends it ends the session
that it was given last, removes the scratch folders of a tracekit that was killed, and then what that tracekit, or an
earlier one that is dead, left in tracefs. It costs the measured processes nothing: it runs only when a line arrives.

Started as `python -m tracekit.measure.process.watchdog PID`, with tracekit's process id and the pipe as its stdin.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tracekit.measure.process.process_session import end_session
from tracekit.system import tracefs
from tracekit.system.process_table import find_process

_REST, _ALIVE = "rest", "alive"


class Watchdog:
    """Tracekit's end of the pipe to its watchdog."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def watch(self, leader: int) -> None:
        """From now on end the session of this process if tracekit dies, and no longer the one given before."""
        self._write(str(leader))

    def rest(self) -> None:
        """Watch no process any more."""
        self._write(_REST)

    def end(self) -> None:
        """Close the pipe and wait for the watchdog's end; the scratch folders are left to tracekit, which still runs.

        A session that is still watched is ended: after an exception, a second Ctrl-C say, something may be left of it.
        """
        self._write(_ALIVE)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        # Where somebody killed the watchdog the measurement is as good as before.
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()


@contextmanager
def start_watchdog() -> Iterator[Watchdog]:
    """A watchdog for the length of a `with`. Raises OSError when no process can be started."""
    process = subprocess.Popen(
        # -P: a psutil.py in the current folder must not be taken for the library.
        [sys.executable, "-P", "-m", "tracekit.measure.process.watchdog", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C at a terminal goes to the whole foreground group, and a watchdog must outlive it.
        start_new_session=True,
    )
    watchdog = Watchdog(process)
    try:
        yield watchdog
    finally:
        watchdog.end()


def scratch_prefix() -> str:
    """What the names of this process's scratch folders begin with: the watchdog finds them by it."""
    return f"tk-{os.getpid()}-"


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


def main(tracekit: int, lines: TextIO) -> None:
    """Read what to watch until the pipe ends, then end it. `tracekit` is the process at the other end, which may have
    died already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leader, is_alive = None, False
    for line in map(str.strip, lines):
        if line == _ALIVE:
            is_alive = True
        else:
            leader = None if line == _REST else int(line)
    if leader is not None:
        if (process := find_process(leader)) is not None:
            process.kill()
        end_session(leader)
    if not is_alive:
        _remove_scratch_folders(tracekit)
    _clean_tracefs(tracekit)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin)
