"""Reads processes from the wait probe's files `waits/*.bin`: when each started, what it executed, how it ended.

A process is described by its own file and by its relatives' files: the parent's file has the fork, and the file of the
process that waited for it has its wait status. That status comes from the kernel, so it overrides what the process
itself wrote before it ended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.lifetimes import PartialRow, ProcessLifetime, ProcessLifetimes
from tracekit.analysis.load.waits.slots import WaitsFile, read_slots
from tracekit.bundle import waits_file
from tracekit.bundle.files import HINT
from tracekit.bundle.waits_file import LARGEST_TID
from tracekit.core.errors import BundleCorrupt

_LARGEST = 2**62
_LATEST_NAME_NS = 1_000_000_000
"""How long after a process began its parent may have written its name down."""
_OF_MULTIPROCESSING = re.compile(r"from multiprocessing\.(spawn|forkserver|resource_tracker) import (spawn_)?main\b")
_FORK_SERVER = "fork server"
_PARTS = {"spawn": "spawned process", "forkserver": _FORK_SERVER, "resource_tracker": "resource tracker"}
_NAME = re.compile(r"([0-9]{1,7})(\.[0-9]{1,7})?\.bin")


class LifetimeEvent(NamedTuple):
    """One slot about a process or thread, with the fields of waits_file.SLOT."""

    kind: int
    tid: int
    start_ns: int
    dur_ns: int
    object: int
    other: int
    site: int
    flags: int


@dataclass(slots=True, kw_only=True)
class ProbedProcess:
    """One process, with its file of the wait probe."""

    file: WaitsFile
    events: list[LifetimeEvent]
    outside: int
    """Number of events that are left out because their stamps lie outside the run."""
    lifetime: ProcessLifetime = field(init=False)
    """Set by add_processes."""

    @property
    def pid(self) -> int:
        return self.file.header.pid

    @property
    def began_ns(self) -> int:
        """The probe's first stamp of the process: the end of the loader, or in a forked child the fork."""
        images = [event.start_ns for event in self.events if event.kind == waits_file.IMAGE]
        return min([*images, self.file.header.monotonic_ns])

    def find_text(self, number: int) -> str | None:
        """The text with this id; None without one."""
        return self.file.texts.get(number) or None


class _Report(NamedTuple):
    """One process's record about another: a request to start it, or its wait status."""

    stamp_ns: int
    by: int
    """pid of the process that wrote the record."""
    status: int = 0


def read_probed_processes(folder: Path, window: Window) -> list[ProbedProcess]:
    """Read the files of `folder`, oldest process first; the file of a process that was killed before it had written
    its header is left out. Raises BundleCorrupt or BundleTooNew.
    """
    found = []
    for path in sorted(folder.glob("*.bin")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise BundleCorrupt(f"{path} is not named after a process", HINT)
        if not waits_file.is_begun(path):
            continue
        file = read_slots(path)
        if file.header.pid != int(match[1]) or not 0 < file.header.pid <= LARGEST_TID:
            raise BundleCorrupt(f"{path} has the pid {file.header.pid} in its header", HINT)
        found.append(_select_events(file, window))
    return sorted(found, key=lambda process: process.file.header.monotonic_ns)


def _select_events(file: WaitsFile, window: Window) -> ProbedProcess:
    kinds = file.slots["kind"]
    chosen = file.slots[(kinds >= waits_file.THREAD_START) & (kinds <= waits_file.TITLE)]
    names = ("kind", "tid", "start_ns", "dur_ns", "object", "other", "site", "flags")
    inside = window.holds(chosen["start_ns"], chosen["start_ns"]) | (chosen["kind"] == waits_file.THREAD_NAME)
    inside &= (chosen["tid"] > 0) & (chosen["tid"] <= LARGEST_TID)
    kept = chosen[inside]
    events = [LifetimeEvent(*values) for values in zip(*(kept[name].tolist() for name in names), strict=True)]
    return ProbedProcess(file=file, events=events, outside=len(chosen) - len(kept))


def add_processes(lifetimes: ProcessLifetimes, processes: Sequence[ProbedProcess], window: Window) -> None:
    """Add these processes, and those that only a relative's file mentions."""
    requested, ended = _collect_reports(processes)
    named = _collect_names(processes)
    pids = {probed.pid for probed in processes}
    servers: set[int] = set()
    for probed in processes:
        probed.lifetime = _add_process(lifetimes, probed, window, requested, ended)
        name = _name_process(probed, named.get(probed.pid, {}))
        if name is None and probed.file.header.ppid in servers:
            name = "fork server's child"
        if name == _FORK_SERVER:
            servers.add(probed.pid)
        probed.lifetime.row["name"] = name
    for pid in sorted((requested.keys() | ended.keys()) - pids):
        # Several processes with this pid cannot be told apart: they count as one.
        requests, waits = requested.get(pid, []), ended.get(pid, [])
        process = lifetimes.find(pid) or lifetimes.add(pid=pid)
        by = (requests or waits)[0].by
        process.fill({"name": next(iter(named.get(pid, {}).values()), None)})
        process.fill({"ppid": by, "spawn_requested_ns": requests[0].stamp_ns if requests else None})
        if waits:
            process.row.update(_read_wait_status(waits[0].status, ""))
            process.fill({"exit_ns": waits[0].stamp_ns})


def _add_process(
    lifetimes: ProcessLifetimes,
    probed: ProbedProcess,
    window: Window,
    requested: dict[int, list[_Report]],
    ended: dict[int, list[_Report]],
) -> ProcessLifetime:
    header, pid = probed.file.header, probed.pid
    ticks = header.start_ticks if 0 < header.start_ticks <= _LARGEST else None
    process = lifetimes.find(pid, ticks)
    if process is None or process.row.get("probed"):
        process = lifetimes.add(pid=pid)
    process.row["probed"] = True
    images = [event for event in probed.events if event.kind == waits_file.IMAGE]
    # The pid may have been another process's before and after. execvp asks once per folder of PATH: the first counts.
    waits = sorted(ended.get(pid, []))
    wait = next((report for report in waits if report.stamp_ns >= header.monotonic_ns), None)
    before = max((report.stamp_ns for report in waits if report.stamp_ns < header.monotonic_ns), default=0)
    requests = [report for report in requested.get(pid, []) if before <= report.stamp_ns <= header.monotonic_ns]
    request = min(requests, default=None)
    executable = probed.find_text(images[-1].site) if images else None
    process.fill(
        {
            "ppid": header.ppid,
            "start_ticks": ticks,
            "began_ns": window.stamp(probed.began_ns),
            "spawn_requested_ns": None if request is None else request.stamp_ns,
            "exec_ns": images[-1].start_ns if images else None,
            "executable": executable or header.executable or None,
        }
    )
    exit_ns = window.stamp(header.ended_ns) or (None if wait is None else wait.stamp_ns)
    if exit_ns is not None:
        # A stream's exit is only the stamp of its last record.
        process.row["exit_ns"] = exit_ns
    if wait is not None:
        process.row.update(_read_wait_status(wait.status, header.ended))
    elif header.ended:
        process.row.update(ended=header.ended, exit_code=(header.exit_code or 0) & 0xFF)
    return process


def _collect_reports(processes: Iterable[ProbedProcess]) -> tuple[dict[int, list[_Report]], dict[int, list[_Report]]]:
    """By pid: the requests to start it, and the wait statuses of its end."""
    requested: dict[int, list[_Report]] = {}
    ended: dict[int, list[_Report]] = {}
    for process in processes:
        for event in process.events:
            if event.kind == waits_file.CHILD_ENDED and _is_end(event.object):
                ended.setdefault(event.other, []).append(_Report(event.start_ns, process.pid, event.object))
            # A vfork child has no file of its own yet when it calls exec: the record is in its parent's.
            elif event.kind in (waits_file.FORK, waits_file.EXEC) and event.object != process.pid:
                requested.setdefault(event.object, []).append(_Report(event.start_ns, process.pid))
    for reports in (requested, ended):
        for pid in [pid for pid in reports if not 0 < pid <= LARGEST_TID]:
            del reports[pid]
    return requested, ended


def _collect_names(processes: Iterable[ProbedProcess]) -> dict[int, dict[int, str]]:
    """By pid: when multiprocessing was about to make it -> the name it gave it."""
    named: dict[int, dict[int, str]] = {}
    for process in processes:
        for event in process.events:
            name = process.find_text(event.site) if event.kind == waits_file.PROCESS_NAME else None
            if name:
                named.setdefault(event.object, {})[event.start_ns] = name
    return named


def _name_process(process: ProbedProcess, named: dict[int, str]) -> str | None:
    """Name a process as its reader knows it: by multiprocessing, by the title it gave itself, by what its Python runs.

    `named` are the names of all processes that had its pid: the last one that this process had is its own.
    """
    end_ns = process.file.header.ended_ns or max((event.start_ns for event in process.events), default=0)
    given = [at for at in named if at <= max(end_ns, process.began_ns + _LATEST_NAME_NS)]
    if given:
        return named[max(given)]
    last = {event.kind: event for event in process.events if event.kind in (waits_file.COMMAND, waits_file.TITLE)}
    image_ns = max((event.start_ns for event in process.events if event.kind == waits_file.IMAGE), default=0)
    for kind, event in sorted(last.items(), reverse=True):
        text = process.find_text(event.site)
        if text and event.start_ns >= image_ns:
            return text.strip() if kind == waits_file.TITLE else _name_command(text)
    return None


def _name_command(command: str) -> str:
    """Name what a Python runs: a file by its own name, code by the part of multiprocessing that it starts."""
    if not command.startswith("-c "):
        return f"python {command}" if command.startswith("-m ") else PurePath(command).name
    match = _OF_MULTIPROCESSING.search(command)
    return _PARTS[match[1]] if match else "python -c"


def _is_end(status: int) -> bool:
    """Whether a wait status means an end, not a stop or a continuation."""
    return status <= 0xFFFF and (os.WIFEXITED(status) or os.WIFSIGNALED(status))


def _read_wait_status(status: int, claimed: str) -> PartialRow:
    """`ended` and `exit_code` of a wait status; `claimed` is how the process itself said it would end."""
    code = os.waitstatus_to_exitcode(status)
    return {"ended": "signal" if code < 0 else claimed or "exit", "exit_code": code}
