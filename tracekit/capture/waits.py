"""waits: the wait probe, preloaded into the measured process and all its children (tracekit/probe/waits.c).

The probe writes into `recording/` in the bundle while the run lasts; when it is over the files are moved to `waits/`
and cut to what was used. A process that lives on keeps a file that nobody sees any more, and its later children, whose
folder is gone, record nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tracekit import waits_file
from tracekit.bundle import Bundle, explained_os_errors
from tracekit.capture import Capture, Provision, Ready
from tracekit.errors import CaptureUnavailable, TracekitError
from tracekit.interpreters import Interpreter
from tracekit.notices import Notice, notice
from tracekit.probe import compile as probe
from tracekit.spec import RunSpec
from tracekit.temporary import own_prefix

_TRIAL = "import time; time.sleep(0.01)"
_TRIAL_S = 30
_SEPARATORS = " :;\t\n"
"""What the loader takes for the end of a name in LD_PRELOAD."""

_RECORDING = "recording"
_CHUNK = 1 << 20


class WaitsCapture(Capture):
    """See the module."""

    name = "waits"

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        library = _library()
        if Path(interpreter.executable).stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            raise CaptureUnavailable(
                f"{interpreter.executable} is setuid or setgid: the loader preloads nothing into it",
                "measure another interpreter: tracekit list pythons",
            )
        with tempfile.TemporaryDirectory(prefix=own_prefix()) as folder, _preloadable(library) as preloaded:
            variables = {**os.environ, "LD_PRELOAD": preloaded, "TRACEKIT_WAITS": folder}
            try:
                done = subprocess.run(
                    [interpreter.executable, "-I", "-S", "-c", _TRIAL],
                    env=variables,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_TRIAL_S,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise CaptureUnavailable(f"{interpreter.executable} does not run: {error}", _OTHERS) from error
            if not _slept(Path(folder)):
                said = (done.stderr.strip().splitlines() or ["it is static, or made for another libc"])[0]
                raise CaptureUnavailable(
                    f"{interpreter.executable} does not let the wait probe be preloaded: {said}", _OTHERS
                )
        return Ready()

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        recording = bundle.root.resolve() / _RECORDING
        with explained_os_errors(bundle.root):
            recording.mkdir()
        theirs = os.environ.get("LD_PRELOAD")
        try:
            with _preloadable(_library()) as preloaded:
                variables = {"LD_PRELOAD": f"{preloaded}:{theirs}" if theirs else preloaded}
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
            file = waits_file.read(path)
            headers.append(file.header)
            reaped = file.slots[file.slots["kind"] == waits_file.CHILD_ENDED]
            statuses.update(zip(reaped["other"].tolist(), reaped["object"].tolist(), strict=True))
        return [_row(header, statuses.get(header.pid)) for header in headers]


_OTHERS = "tracekit run ... --capture none, which gives the GIL wait as an interval"


def _library() -> Path:
    """The compiled probe. Raises CaptureUnavailable."""
    reason = probe.supported()
    if reason:
        raise CaptureUnavailable(reason, _OTHERS)
    if not probe.LIBRARY.is_file():
        raise CaptureUnavailable(
            "the wait probe is not compiled: there was no C compiler when tracekit was installed",
            "install one (sudo apt install gcc libc6-dev), then: make distclean setup, or pip install again",
        )
    if not probe.is_current(probe.LIBRARY):
        raise CaptureUnavailable(f"{probe.LIBRARY} was compiled from other sources than those beside it", "make setup")
    return probe.LIBRARY


@contextmanager
def _preloadable(library: Path) -> Iterator[str]:
    """The library's path in a form that LD_PRELOAD can hold: it knows no quotes."""
    if not any(char in str(library) for char in _SEPARATORS):
        yield str(library)
        return
    folder = tempfile.mkdtemp(prefix=own_prefix())
    try:
        link = Path(folder) / library.name
        if any(char in str(link) for char in _SEPARATORS):
            raise CaptureUnavailable(
                f"the wait probe cannot be preloaded from a folder with a space or colon in its name: {link}",
                "TMPDIR=/tmp tracekit ...",
            )
        link.symlink_to(library)
        yield str(link)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _slept(folder: Path) -> bool:
    """Whether the trial left a file with its sleep in it."""
    for path in folder.glob(f"*{waits_file.SUFFIX}"):
        try:
            file = waits_file.read(path)
        except TracekitError:
            continue
        if any(waits_file.WAITS.get(kind) == "sleep" for kind in file.slots["kind"].tolist()):
            return True
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
    """Cut the file, unless a process has it mapped still: it would get SIGBUS at its next record.

    The kernel grants a write lease only on a file that nobody else has open or mapped for writing. A file system
    without leases, or a file of another user, says no.
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
    """Put a copy of the first `length` bytes in the place of the file; who has it mapped writes on into the old one,
    whose room on the disk nobody sees: it must not grow for as long as a daemon lives."""
    copied = path.with_name(f".{path.name}")
    with path.open("rb") as source, copied.open("wb") as target:
        while length > 0 and (data := source.read(min(length, _CHUNK))):
            target.write(data)
            length -= len(data)
    # Another user's file is not ours to write.
    with suppress(OSError):
        waits_file.give_no_more_room(path)
    copied.replace(path)


def _row(header: waits_file.Header, status: int | None) -> dict[str, Any]:
    """How one process ended: as its parent was told when it reaped it, else as it said itself."""
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
