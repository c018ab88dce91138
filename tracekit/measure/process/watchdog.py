"""Ends measured processes when tracekit itself is killed and cannot: `python -m tracekit.measure.process.watchdog PID`.

SIGKILL, the out-of-memory killer and a lost terminal leave nobody to reap workers, and the workers of a pool whose
parent died wait for work for ever. The guard sleeps on a pipe from tracekit; when the pipe ends, it ends the session
that it was told of last, and removes the temporary folders of a tracekit that did not say that it lives. Then it
removes what tracekit, or an earlier one that is dead, left in tracefs. It costs the measured processes nothing: it only
runs when a line arrives.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import psutil

from tracekit.measure.process.process_session import end_session, kill
from tracekit.measure.process.scratch import remove_folders
from tracekit.system import tracefs

_REST, _ALIVE = "rest", "alive"


class Guard:
    """Tracekit's end of the pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def watch(self, leader: int) -> None:
        """From now on end the session of this process if tracekit dies; the session before it has ended."""
        self.say(str(leader))

    def rest(self) -> None:
        """Nobody is to be watched."""
        self.say(_REST)

    def say(self, line: str) -> None:
        """One line to the guard: whom to watch, or one of the words above."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            # Somebody killed the guard: the measurement is as good as before, only unguarded.
            return


@contextmanager
def guarded() -> Iterator[Guard]:
    """A guard for the length of a `with`. Raises OSError when no process can be started."""
    process = subprocess.Popen(
        # -P: a psutil.py in the current folder must not be taken for the library.
        [sys.executable, "-P", "-m", "tracekit.measure.process.watchdog", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C at a terminal goes to the whole foreground group, and a guard must outlive it.
        start_new_session=True,
    )
    guard = Guard(process)
    try:
        yield guard
    finally:
        # No `done` here: when an exception leaves a process behind, a second Ctrl-C while it was being ended, say, the
        # guard ends it. Its folders are left to us, who live.
        guard.say(_ALIVE)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def main(tracekit: int, lines: TextIO) -> None:
    """Read what to watch until the pipe ends; then end it. `tracekit` is the process at the other end, which may have
    died already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leader, alive = None, False
    for line in map(str.strip, lines):
        if line == _ALIVE:
            alive = True
        else:
            leader = None if line == _REST else int(line)
    if leader is not None:
        with suppress(psutil.NoSuchProcess):
            kill(psutil.Process(leader))
        end_session(leader)
    if not alive:
        remove_folders(tracekit)
    _clean_tracefs(tracekit)


def _clean_tracefs(tracekit: int) -> None:
    """Remove the instances of `tracekit`, whose part of the pipe is closed: it is dying, or left its last run."""
    for owner in tracefs.leftovers(of=tracekit):
        with suppress(OSError):
            tracefs.remove(owner)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin)
