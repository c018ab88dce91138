"""waits: the wait probe, preloaded into the measured process and all its children (tracekit/measure/probe/waits.c).

The probe writes into `recording/` in the bundle while the run lasts; when it is over the files are moved to `waits/`
and cut to what was used. A process that outlives the run keeps a file that nothing reads any more, and its later
children, whose folder is gone, record nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tracekit.bundle import waits_file
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, explained_os_errors
from tracekit.core.errors import TracekitError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, Provision, Ready, preload
from tracekit.measure.probe.compile import WAITS
from tracekit.measure.process.watchdog import scratch_prefix
from tracekit.system.interpreters import Interpreter

_TRIAL = "import time; time.sleep(0.01)"

_RECORDING = "recording"
_CHUNK = 1 << 20


class WaitsCapture(Capture):
    """See the module."""

    name = "waits"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        library = preload.find_library(WAITS, _OTHERS)
        with tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
            stderr = preload.run_preloaded(library, interpreter, _TRIAL, {"TRACEKIT_WAITS": folder}, _OTHERS)
            if not _slept(Path(folder)):
                raise preload.make_refusal(WAITS, interpreter, stderr, _OTHERS)
        return Ready()

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.mkdir()
        try:
            with preload.preloaded(preload.find_library(WAITS, _OTHERS)) as variables:
                yield {**variables, "TRACEKIT_WAITS": str(recording)}
        finally:
            with explained_os_errors(bundle.root):
                _keep(recording, bundle.waits)

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        seen = {int(path.name.split(".")[0]) for path in _files(bundle)}
        missing = [str(pid) for pid in pids if pid not in seen]
        if missing or not seen:
            named = f"process {', '.join(missing)}" if missing else "the whole run"
            return [notice("capture-incomplete", capture=self.name, missing=named, run_id=spec.run_id)]
        return []

    def processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        headers: list[waits_file.Header] = []
        statuses: dict[int, int] = {}
        for path in _files(bundle):
            headers.append(waits_file.read_header(path))
            statuses.update(waits_file.read_child_endings(path))
        return [_row(header, statuses.get(header.pid)) for header in headers]


_OTHERS = "tracekit run ... --capture none, which gives the GIL wait as an interval"


def _slept(folder: Path) -> bool:
    """Whether the trial left a file with its sleep in it."""
    for path in folder.glob(f"*{waits_file.SUFFIX}"):
        try:
            if waits_file.holds_kind(path, "sleep"):
                return True
        except TracekitError:
            continue
    return False


def _files(bundle: Bundle) -> list[Path]:
    return sorted(bundle.waits.glob(f"*{waits_file.SUFFIX}"))


def _keep(recording: Path, kept: Path) -> None:
    """Move what was recorded to where it is sealed, cut to what was used. Raises OSError."""
    kept.mkdir()
    for path in sorted(recording.glob(f"*{waits_file.SUFFIX}")):
        try:
            header = waits_file.read_header(path)
        except TracekitError:
            # Its process was killed before it had written its header: there is nothing in it.
            continue
        target = kept / path.name
        # First out of the way: under its old name a program that replaces its process would open it again.
        path.rename(target)
        if not _cut(target, header.bytes):
            _copy(target, header.bytes)
    shutil.rmtree(recording, ignore_errors=True)


def _cut(path: Path, length: int) -> bool:
    """Cut the file, unless a process still has it mapped: it would get SIGBUS at its next record.

    The kernel grants a write lease only on a file that no other process has open or mapped for writing. It refuses one
    on a file system without leases and on a file of another user.
    """
    # Not on Windows, where this module is loaded to say that there is no probe.
    import fcntl  # noqa: PLC0415

    try:
        with path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            file.truncate(length)
    except OSError:
        return False
    return True


def _copy(path: Path, length: int) -> None:
    """Replace the file by a copy of its first `length` bytes.

    A process that has it mapped goes on writing to the old one, which has no name and must not grow as long as a daemon
    runs.
    """
    copied = path.with_name(f".{path.name}")
    with path.open("rb") as source, copied.open("wb") as target:
        while length > 0 and (data := source.read(min(length, _CHUNK))):
            target.write(data)
            length -= len(data)
    # Another user's file cannot be written.
    with suppress(OSError):
        waits_file.give_no_more_room(path)
    copied.replace(path)


def _row(header: waits_file.Header, status: int | None) -> dict[str, Any]:
    """How one process ended: by the status its parent got when it reaped it, else by its own record."""
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
