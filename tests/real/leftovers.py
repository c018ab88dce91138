"""What a run must not leave behind: processes, semaphores, shared memory. Other tests may run at the same time."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

from tests.recording import until


def measured_processes(folder: Path) -> list[int]:
    """Every living process that was measured for a suite in `folder`, workers and helpers included: their environment
    names it. Others may be measuring on this machine at the same time."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            path = process.environ().get("PYTHONPATH", "")
        except psutil.Error:
            continue
        if path.startswith(f"{folder.resolve()}{os.sep}") and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def assert_nothing_left(folder: Path, before: set[str]) -> None:
    """No measured process of that folder now, and soon no abandoned semaphore or segment that was not there before."""
    assert not measured_processes(folder)
    assert_no_segments_left(before)


def assert_no_segments_left(before: set[str]) -> None:
    """Soon no semaphore or segment is abandoned that was not so before."""
    until(lambda: abandoned_segments() <= before, "nothing new is left in shared memory")


def processes_with(variable: str) -> set[str]:
    """The processes that were started with it; this one was not."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.add(path.parent.name)
    return found


def command_lines(variable: str) -> list[list[str]]:
    """Their words."""
    found = []
    for pid in processes_with(variable):
        with suppress(OSError):
            found.append(Path("/proc", pid, "cmdline").read_text(errors="replace").split("\0"))
    return found


def abandoned_segments(group: int | None = None) -> set[str]:
    """The semaphores and segments of this user, or of this user in that group, that no process has mapped.

    Those of a program of `crash` that still runs are not abandoned: it maps them when it needs them.
    """
    found = {
        path.name
        for path in Path("/dev/shm").iterdir()
        if path.name.startswith(("psm_", "sem.")) and not _is_of_crash(path.name) and _is_mine(path, group)
    }
    for maps in Path("/proc").glob("[0-9]*/maps") if found else ():
        with suppress(OSError):
            found -= set(_MAPPED.findall(maps.read_text(errors="replace")))
    return found


_MAPPED = re.compile(r" /dev/shm/(\S+)")


def _is_mine(path: Path, group: int | None) -> bool:
    with suppress(OSError):
        status = path.stat()
        return status.st_uid == os.geteuid() and group in (None, status.st_gid)
    return False


def _is_of_crash(name: str) -> bool:
    owner = re.match(r"sem\.tk(\d+)-", name)
    return owner is not None and Path("/proc", owner[1]).exists()
