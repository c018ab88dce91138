"""The kernel's tracing files, and what tracekit creates in them: instances and uprobes whose names tell their owner.

    <tracefs>/instances/tracekit-<pid>-<start_ticks>-<n>       one run's buffers and settings
    <tracefs>/uprobe_events: group tracekit_<pid>_<start_ticks>_<n>   its probes

Process ids are reused; a process id with its start time is unique. So another process (the watchdog, `tracekit doctor`,
another tracekit) can tell whose an instance is and whether that owner still runs. Only processes of the initial pid
namespace create and remove them: in any other namespace the same id is another process.
"""

from __future__ import annotations

import errno
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tracekit.core.owner import read_start_ticks

_PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_NAME = re.compile(r"tracekit[-_](\d+)[-_](\d+)[-_](\d+)")
_PROBE = re.compile(r"([pr])\d*:([^/\s]+)/(\S+)\s+(\S.*)")
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO of the kernel: the inode of the first pid namespace's file."""
_REMOVAL_S = 5.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """The process that created an instance: its id, its start in clock ticks since boot, and the instance's number."""

    pid: int
    start_ticks: int
    number: int

    @property
    def instance(self) -> str:
        """The name of its folder in `instances`."""
        return f"tracekit-{self.pid}-{self.start_ticks}-{self.number}"

    @property
    def group(self) -> str:
        """The name of its uprobes' group."""
        return f"tracekit_{self.pid}_{self.start_ticks}_{self.number}"

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        return read_start_ticks(self.pid) == self.start_ticks


def find_tracefs() -> Path | None:
    """The folder where tracefs is mounted; None where it is not, or may not be read."""
    for candidate in _PLACES:
        try:
            if (candidate / "instances").is_dir() and (candidate / "trace_clock").exists():
                return candidate
        except OSError:
            continue
    return None


def is_in_initial_pid_namespace() -> bool:
    """Whether process ids here are the kernel's own."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def list_owners(root: Path) -> list[Owner]:
    """All owners of instances or uprobes, alive or not."""
    names = [entry.name for entry in (root / "instances").iterdir()]
    names += [probe.group for probe in list_probes(root)]
    return sorted({Owner(*map(int, match.groups())) for name in names if (match := _NAME.fullmatch(name))})


def list_leftovers(*, of: int | None = None) -> list[Owner]:
    """The owners that are dead; with `of` only that process, alive or not.

    Empty where that cannot be judged or tracefs may not be read.
    """
    root = find_tracefs()
    if root is None or not is_in_initial_pid_namespace():
        return []
    try:
        return [owner for owner in list_owners(root) if (owner.pid == of if of else not owner.is_alive)]
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class KernelProbe:
    """One line of uprobe_events."""

    kind: str
    """p: at the instruction; r: when its function returns."""
    group: str
    name: str
    target: str


def list_probes(root: Path) -> list[KernelProbe]:
    """Every uprobe that is defined, also those of others. Raises OSError; empty where the kernel has no uprobes."""
    path = root / "uprobe_events"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [KernelProbe(*match.groups()) for line in lines if (match := _PROBE.fullmatch(line))]


def define_probe(root: Path, line: str) -> None:
    """Add (`p:...`, `r:...`) or remove (`-:...`) one uprobe. Raises OSError."""
    # Without O_APPEND the kernel removes all others; Python's own "a" seeks, which it refuses.
    descriptor = os.open(root / "uprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, os.fsencode(line) + b"\n")
    finally:
        os.close(descriptor)


def write_setting(path: Path, value: str) -> None:
    """Write one of the files that are settings. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def remove_traces(owner: Owner) -> None:
    """Remove the instance and the uprobes of `owner`, as far as they exist, in use or not.

    Waits up to 5 s for readers that are just ending. Raises OSError when something remains.
    """
    root = find_tracefs()
    if root is None:
        return
    folder = root / "instances" / owner.instance
    limit = time.monotonic() + _REMOVAL_S
    while True:
        try:
            _remove_instance(folder)
            _remove_probes(root, owner.group)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > limit:
                raise
            time.sleep(_POLL_S)
        else:
            return


def _remove_instance(folder: Path) -> None:
    if not folder.is_dir():
        return
    _write_if_there(folder / "tracing_on", "0")
    _write_if_there(folder / "events" / "enable", "0")
    try:
        folder.rmdir()
    except FileNotFoundError:
        # Another cleaner was quicker.
        return


def _remove_probes(root: Path, group: str) -> None:
    mine = [probe for probe in list_probes(root) if probe.group == group]
    if not mine:
        return
    # Where they are enabled in another instance the kernel keeps them.
    for instance in [root, *(root / "instances").iterdir()]:
        _write_if_there(instance / "events" / group / "enable", "0")
    for probe in mine:
        try:
            define_probe(root, f"-:{group}/{probe.name}")
        except FileNotFoundError:
            continue


def _write_if_there(path: Path, value: str) -> None:
    try:
        write_setting(path, value)
    except FileNotFoundError:
        return
