"""HOW a run is watched: one capture per file, applied from the parent, around the measured process.

A capture comes in by its name (`load_capture`) and leaves its files in the bundle. Open `waits.py` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekit.bundle.names import UNTRACED
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.core.registry import Registry
from tracekit.system.interpreters import Interpreter

PRELOAD = "LD_PRELOAD"
"""The loader's variable, the one that several captures set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """Whether missing packages may be installed for other interpreters, and the folder that they are kept in."""

    allowed: bool = False
    cache: Path = field(default_factory=Path)


class Capture:
    """A way to watch a run; this one, `none`, watches nothing.

    passes_exit_code   whether the wrapped command ends with the measured program's own exit code
    """

    name = UNTRACED
    passes_exit_code = True

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        """Find out, by trying, whether this capture works here.

        Returns the folder with the tool's packages for this interpreter, empty where it needs none. Raises
        CaptureUnavailable.
        """
        return ""

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        """The command that runs `argv` under this capture."""
        return argv

    def around(self, spec: RunSpec, bundle: Bundle) -> AbstractContextManager[dict[str, str]]:
        """A context to start and end the measured process in; gives variables to add to its environment.

        It is left when nothing of the process runs any more, whatever happened. Raises CaptureUnavailable.
        """
        return nullcontext({})

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        """After the run: check that the tool left its files for these measured processes."""
        return []

    def read_processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        """The processes that the capture recorded, as rows of the manifest.

        pid, ppid, start_ticks, executable, started_ns, ended_ns, ended (exit, _exit, signal, unknown), exit_code
        (negative for a signal), lost.
        """
        return []


class CombinedCapture(Capture):
    """Several captures of one run: `waits+kernel`."""

    def __init__(self, parts: list[Capture]) -> None:
        self.name = "+".join(part.name for part in parts)
        self.passes_exit_code = all(part.passes_exit_code for part in parts)
        self._parts = parts

    def preflight(self, interpreter: Interpreter, provision: Provision) -> str:
        folders = [part.preflight(interpreter, provision) for part in self._parts]
        return next(filter(None, folders), "")

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        for part in self._parts:
            argv = part.wrap(argv, spec, bundle)
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        with ExitStack() as stack:
            variables: dict[str, str] = {}
            for part in self._parts:
                more = stack.enter_context(part.around(spec, bundle))
                both = variables.keys() & more.keys() & {PRELOAD}
                variables |= more | {name: _join_libraries(variables[name], more[name]) for name in both}
            yield variables

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        pids = list(pids)
        return [found for part in self._parts for found in part.collect(spec, bundle, pids)]

    def read_processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        # They record the same processes: the first that has any is enough.
        return next(filter(None, (part.read_processes(bundle) for part in self._parts)), [])


def _join_libraries(first: str, second: str) -> str:
    """Two values of LD_PRELOAD as one, each library once."""
    return ":".join(dict.fromkeys(name for value in (first, second) for name in value.split(":") if name))


def load_capture(name: str) -> Capture:
    """The capture of that name, or several joined by `+`. Raises UsageError."""
    parts: list[Capture] = [CAPTURES.load(part) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else CombinedCapture(parts)


NONE = Capture()

_HERE = "tracekit.measure.capture"

CAPTURES = Registry(
    "capture",
    {
        UNTRACED: (f"{_HERE}:NONE", "nothing: the runs that give the timings"),
        "viztracer": (
            f"{_HERE}.viztracer:CAPTURE",
            "every Python call of every process, as slices on a timeline",
        ),
        "py-spy": (
            f"{_HERE}.pyspy:CAPTURE",
            "stack samples from outside, with native frames and idle threads",
        ),
        "waits": (
            f"{_HERE}.waits:CAPTURE",
            "every wait of every thread, for the GIL and otherwise, with its function; needs no privileges",
        ),
        "stages": (
            f"{_HERE}.stages:CAPTURE",
            "the stages of each process's start: loader, interpreter, site; needs no privileges",
        ),
        "kernel": (
            f"{_HERE}.kernel:CAPTURE",
            "every context switch and every GIL take, recorded by the kernel; needs root",
        ),
    },
)
