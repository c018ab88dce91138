"""The wait probe's files `waits/*.bin`: what they tell of processes, from birth to end.

A process is described by its own file and by those of its relatives: who forked it is in the parent's, how it ended
in the file of the one that waited for it. That wait status is the kernel's word and stands above what the process
itself announced before it was gone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.lifetimes import Facts, Life, Lives
from tracekit.analysis.load.parse import HINT
from tracekit.analysis.load.waits.slots import WaitsFile, read_slots
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID
from tracekit.core.errors import BundleCorrupt

_LARGEST = 2**62
_NAME = re.compile(r"([0-9]{1,7})(\.[0-9]{1,7})?\.bin")


class Event(NamedTuple):
    """One slot of a life, as it is in the file."""

    kind: int
    tid: int
    start_ns: int
    dur_ns: int
    object: int
    other: int
    site: int
    flags: int


@dataclass(slots=True, kw_only=True)
class Probed:
    """One process as its file tells it."""

    file: WaitsFile
    events: list[Event]
    outside: int
    """Events that are left out because their stamps lie outside the run."""
    life: Life = field(init=False)

    @property
    def pid(self) -> int:
        return self.file.header.pid

    @property
    def began_ns(self) -> int:
        """The first that the probe knows of the process: the loader was done, or in a forked child the fork."""
        images = [event.start_ns for event in self.events if event.kind == waits_file.IMAGE]
        return min([*images, self.file.header.monotonic_ns])

    def text(self, number: int) -> str | None:
        return self.file.texts.get(number) or None


class _Told(NamedTuple):
    """What one process's file says of another: who asked for it, or how it was when it was waited for."""

    stamp_ns: int
    by: int
    status: int = 0


def read_probed(folder: Path, window: Window) -> list[Probed]:
    """The files of `folder`, oldest process first; those of processes killed before they had begun one are left out.

    Raises BundleCorrupt or BundleTooNew.
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
            raise BundleCorrupt(f"{path} says that it is of process {file.header.pid}", HINT)
        found.append(_probed(file, window))
    return sorted(found, key=lambda probed: probed.file.header.monotonic_ns)


def _probed(file: WaitsFile, window: Window) -> Probed:
    kinds = file.slots["kind"]
    chosen = file.slots[(kinds >= waits_file.THREAD_START) & (kinds <= waits_file.CHILD_ENDED)]
    names = ("kind", "tid", "start_ns", "dur_ns", "object", "other", "site", "flags")
    inside = window.holds(chosen["start_ns"], chosen["start_ns"]) | (chosen["kind"] == waits_file.THREAD_NAME)
    inside &= (chosen["tid"] > 0) & (chosen["tid"] <= LARGEST_TID)
    kept = chosen[inside]
    events = [Event(*values) for values in zip(*(kept[name].tolist() for name in names), strict=True)]
    return Probed(file=file, events=events, outside=len(chosen) - len(kept))


def add_processes(lives: Lives, files: Sequence[Probed], window: Window) -> None:
    """Add what the files say of processes. One that only its parent's file names becomes a row as well."""
    asked, ended = _told(files)
    pids = {probed.pid for probed in files}
    for probed in files:
        probed.life = _add_process(lives, probed, window, asked, ended)
    for pid in sorted((asked.keys() | ended.keys()) - pids):
        # Nothing tells its lives apart if it had several: it is counted once.
        requests, waits = asked.get(pid, []), ended.get(pid, [])
        life = lives.find(pid) or lives.add(pid=pid)
        by = (requests or waits)[0].by
        life.fill({"ppid": by, "spawn_requested_ns": requests[0].stamp_ns if requests else None})
        if waits:
            life.facts.update(_end(waits[0].status, ""))
            life.fill({"exit_ns": waits[0].stamp_ns})


def _add_process(
    lives: Lives,
    probed: Probed,
    window: Window,
    asked: dict[int, list[_Told]],
    ended: dict[int, list[_Told]],
) -> Life:
    header, pid = probed.file.header, probed.pid
    ticks = header.start_ticks if 0 < header.start_ticks <= _LARGEST else None
    life = lives.find(pid, ticks)
    if life is None or life.facts.get("probed"):
        life = lives.add(pid=pid)
    life.facts["probed"] = True
    images = [event for event in probed.events if event.kind == waits_file.IMAGE]
    # The pid may have been another's before and after. Of several requests the first counts: one per folder of PATH.
    waits = sorted(ended.get(pid, []))
    wait = next((told for told in waits if told.stamp_ns >= header.monotonic_ns), None)
    before = max((told.stamp_ns for told in waits if told.stamp_ns < header.monotonic_ns), default=0)
    requests = [told for told in asked.get(pid, []) if before <= told.stamp_ns <= header.monotonic_ns]
    request = min(requests, default=None)
    executable = probed.text(images[-1].site) if images else None
    life.fill(
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
        # A stream's stamp is that of its last record.
        life.facts["exit_ns"] = exit_ns
    if wait is not None:
        life.facts.update(_end(wait.status, header.ended))
    elif header.ended:
        life.facts.update(ended=header.ended, exit_code=(header.exit_code or 0) & 0xFF)
    return life


def _told(files: Iterable[Probed]) -> tuple[dict[int, list[_Told]], dict[int, list[_Told]]]:
    """By pid: the requests for it, and how it was when it was waited for."""
    asked: dict[int, list[_Told]] = {}
    ended: dict[int, list[_Told]] = {}
    for probed in files:
        for event in probed.events:
            if event.kind == waits_file.CHILD_ENDED and _is_end(event.object):
                ended.setdefault(event.other, []).append(_Told(event.start_ns, probed.pid, event.object))
            # A vfork child has no file of its own yet when it asks for exec: its parent's has the record.
            elif event.kind in (waits_file.FORK, waits_file.EXEC) and event.object != probed.pid:
                asked.setdefault(event.object, []).append(_Told(event.start_ns, probed.pid))
    for told in (asked, ended):
        for pid in [pid for pid in told if not 0 < pid <= LARGEST_TID]:
            del told[pid]
    return asked, ended


def _is_end(status: int) -> bool:
    """Whether a wait status is that of an end, not of a stop or a continuation."""
    return status <= 0xFFFF and (os.WIFEXITED(status) or os.WIFSIGNALED(status))


def _end(status: int, announced: str) -> Facts:
    """`ended` and `exit_code` of a wait status; `announced` is what the process itself said before."""
    code = os.waitstatus_to_exitcode(status)
    return {"ended": "signal" if code < 0 else announced or "exit", "exit_code": code}
