"""waits: the wait probe (measure/probe/waits.c), preloaded into the measured process and all its children.

The probe writes into `recording/` in the bundle while the run lasts; when it is over the files are moved to `waits/`
and cut to what was used. A process that outlives the run keeps writing to a file that is deleted, and its later
children, whose folder is gone, record nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tracekit.bundle import waits_file
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, explained_os_errors
from tracekit.core.errors import TracekitError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision
from tracekit.measure.capture.preload import find_library, make_refusal, preload, run_preloaded
from tracekit.measure.probe.compile import WAITS
from tracekit.measure.process.watchdog import make_scratch_folder
from tracekit.system.interpreters import Interpreter

_TRIAL = "import time; time.sleep(0.01)"

_RECORDING = "recording"
_CHUNK = 1 << 20


class WaitsCapture(Capture):
    """Records every wait of every thread, and how each process ended."""

    name = "waits"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        library = find_library(WAITS, _INSTEAD)
        with make_scratch_folder() as folder:
            stderr = run_preloaded(library, interpreter, _TRIAL, {"TRACEKIT_WAITS": str(folder)}, _INSTEAD)
            if not _has_sleep(folder):
                raise make_refusal(WAITS, interpreter, stderr, _INSTEAD)
        return ""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.mkdir()
        try:
            with preload(find_library(WAITS, _INSTEAD)) as variables:
                yield {**variables, "TRACEKIT_WAITS": str(recording)}
        finally:
            with explained_os_errors(bundle.root):
                _move_files(recording, bundle.waits)

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        recorded = {int(path.name.split(".")[0]) for path in _list_files(bundle)}
        missing = [str(pid) for pid in pids if pid not in recorded]
        if missing or not recorded:
            named = f"process {', '.join(missing)}" if missing else "the whole run"
            return [notice("capture-incomplete", capture=self.name, missing=named, run_id=spec.run_id)]
        return []

    def read_processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        headers: list[waits_file.Header] = []
        statuses: dict[int, int] = {}
        for path in _list_files(bundle):
            headers.append(waits_file.read_header(path))
            statuses.update(waits_file.read_child_endings(path))
        return [_process_row(header, statuses.get(header.pid)) for header in headers]


_INSTEAD = "tracekit run ... --capture none, which gives the GIL wait as an interval"


def _has_sleep(folder: Path) -> bool:
    """Whether the trial left a file with its sleep in it."""
    for path in folder.glob(f"*{waits_file.SUFFIX}"):
        try:
            if waits_file.holds_kind(path, "sleep"):
                return True
        except TracekitError:
            continue
    return False


def _list_files(bundle: Bundle) -> list[Path]:
    return sorted(bundle.waits.glob(f"*{waits_file.SUFFIX}"))


def _move_files(recording: Path, target_folder: Path) -> None:
    """Move the files to where they are sealed, cut to what was used. Raises OSError."""
    target_folder.mkdir()
    for path in sorted(recording.glob(f"*{waits_file.SUFFIX}")):
        try:
            header = waits_file.read_header(path)
        except TracekitError:
            # Its process was killed before it wrote the header: there is nothing in it.
            continue
        target = target_folder / path.name
        # First out of the way: under its old name a program that replaces its process would open it again.
        path.rename(target)
        if not _truncate(target, header.bytes):
            _replace_by_copy(target, header.bytes)
    shutil.rmtree(recording, ignore_errors=True)


def _truncate(path: Path, length: int) -> bool:
    """Truncate the file, unless a process still has it mapped: that would get SIGBUS at its next record.

    The kernel grants a write lease only on a file that no other process has open or mapped for writing. It is refused
    on file systems without leases and for another user's file. Returns whether the file was truncated.
    """
    # There is none on Windows, where this module is imported to report that there is no probe.
    import fcntl  # noqa: PLC0415

    try:
        with path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            file.truncate(length)
    except OSError:
        return False
    return True


def _replace_by_copy(path: Path, length: int) -> None:
    """Replace the file by a copy of its first `length` bytes.

    A process that has it mapped goes on writing into the old one, whose disk space nothing shows any more: it must not
    grow for as long as a daemon runs.
    """
    copied = path.with_name(f".{path.name}")
    with path.open("rb") as source, copied.open("wb") as target:
        while length > 0 and (data := source.read(min(length, _CHUNK))):
            target.write(data)
            length -= len(data)
    # Another user's file cannot be written.
    with suppress(OSError):
        waits_file.stop_growth(path)
    copied.replace(path)


def _process_row(header: waits_file.Header, status: int | None) -> dict[str, Any]:
    """One process for the manifest. How it ended is what its parent got from wait, else what it recorded itself."""
    ended, code = header.ended or "unknown", header.exit_code
    if status is not None:
        code = os.waitstatus_to_exitcode(status)
        ended = "signal" if code < 0 else ended if header.ended else "exit"
    return {
        "pid": header.pid,
        "ppid": header.ppid,
        "start_ticks": header.start_ticks,
        "executable": header.executable,
        "started_ns": header.monotonic_ns,
        "ended_ns": header.ended_ns,
        "ended": ended,
        "exit_code": code,
        "lost": header.lost,
    }


CAPTURE = WaitsCapture()
